-- @noindex
-- Puts takes that Airband Send delivered on the timeline: each at the transport position of its capture, on the track
-- it was captured on. Its sidecar (`.take.json`) tells both; file names do not matter.

local folder = debug.getinfo(1, "S").source:match("^@(.*[/\\])")
local json = dofile(folder .. "airband_json.lua")

local M = {}

local SECTION = "Airband"
local BUILD_PEAKS = 40047 -- Peaks: Build any missing peaks
local UNDO_ALL = -1
local EVERY_S = 2

local function results_folder()
  local chosen = reaper.GetExtState(SECTION, "send_folder")
  if chosen ~= "" then
    return chosen
  end
  local home = os.getenv("HOME") or os.getenv("USERPROFILE") or "."
  return os.getenv("AIRBAND_SEND_FOLDER") or home .. "/Music/Airband"
end

local function contents(path)
  local file = io.open(path, "rb")
  local text = file and file:read("a") or ""
  if file then
    file:close()
  end
  return text
end

-- A placeable take: a table of path, track, position in seconds; nil for other takes, false for a damaged sidecar.
local function take_of(results, about)
  local state, frame = json.text(about, "state"), json.number(about, "transport_frame")
  local file, rate = json.text(about, "file"), json.number(about, "rate")
  if not state or not file or file:find("[/\\]") or not rate or rate <= 0 then
    return false
  end
  if state ~= "delivered" or not frame then
    return nil
  end
  return { path = results .. "/" .. file, track = json.text(about, "track") or "", position = frame / rate }
end

-- The placeable takes in a folder, and the names of damaged sidecars.
local function delivered(results)
  local takes, damaged, index = {}, {}, 0
  reaper.EnumerateFiles(results, -1) -- makes REAPER drop its cached listing of the folder
  local name = reaper.EnumerateFiles(results, index)
  while name do
    if name:match("%.take%.json$") then
      local take = take_of(results, contents(results .. "/" .. name))
      takes[#takes + 1] = take or nil
      damaged[#damaged + 1] = take == false and name or nil
    end
    index = index + 1
    name = reaper.EnumerateFiles(results, index)
  end
  return takes, damaged
end

local function track_called(name)
  for index = 0, reaper.CountTracks(0) - 1 do
    local track = reaper.GetTrack(0, index)
    local _, found = reaper.GetTrackName(track)
    if found == name then
      return track
    end
  end
  local last = reaper.CountTracks(0)
  reaper.InsertTrackAtIndex(last, true)
  local track = reaper.GetTrack(0, last)
  reaper.GetSetMediaTrackInfo_String(track, "P_NAME", name, true)
  return track
end

local function place(take)
  local source = reaper.PCM_Source_CreateFromFile(take.path)
  if not source then
    return false
  end
  local item = reaper.AddMediaItemToTrack(track_called(take.track ~= "" and take.track or "Airband Send"))
  reaper.SetMediaItemTake_Source(reaper.AddTakeToMediaItem(item), source)
  reaper.SetMediaItemInfo_Value(item, "D_POSITION", take.position)
  reaper.SetMediaItemInfo_Value(item, "D_LENGTH", (reaper.GetMediaSourceLength(source)))
  return true
end

-- Imports takes that this project has not had yet; returns their number, and the names of damaged sidecars.
function M.import()
  local new = {}
  local takes, damaged = delivered(results_folder())
  for _, take in ipairs(takes) do
    local known = reaper.GetProjExtState(0, SECTION, "imported " .. take.path)
    if known == 0 then
      new[#new + 1] = take
    end
  end
  if #new == 0 then
    return 0, damaged
  end
  reaper.Undo_BeginBlock()
  reaper.PreventUIRefresh(1)
  local count = 0
  for _, take in ipairs(new) do
    if place(take) then
      reaper.SetProjExtState(0, SECTION, "imported " .. take.path, "1")
      count = count + 1
    end
  end
  reaper.PreventUIRefresh(-1)
  reaper.Undo_EndBlock("Airband: import takes of Send", UNDO_ALL)
  reaper.Main_OnCommand(BUILD_PEAKS, 0)
  reaper.UpdateArrange()
  return count, damaged
end

-- Imports new takes every 2 s, until the script is ended.
function M.watch()
  local looked = -EVERY_S
  local function turn()
    if reaper.time_precise() - looked >= EVERY_S then
      looked = reaper.time_precise()
      M.import()
    end
    reaper.defer(turn)
  end
  turn()
end

return M
