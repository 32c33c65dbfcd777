-- @noindex
-- Airband for REAPER: code that both restore actions share.
--
-- The `airband` command gets an item's part of its source as (file, range), never as a cropped file, so that it
-- analyses the whole source, and the result aligns to the sample. The result becomes a new take. The command runs
-- beside REAPER; `watch` reads its output, and all takes are added at the end in one undo block.

local folder = debug.getinfo(1, "S").source:match("^@(.*[/\\])")
local command = dofile(folder .. "airband_command.lua")
local json = dofile(folder .. "airband_json.lua")

local M = {}

local SECTION = "Airband"
local TOGGLE_REVERSE = 41051 -- Item properties: Toggle take reverse
local DUPLICATE_TAKE = 40639 -- Take: Duplicate active take; with grouping on, of all items of the group
local TOGGLE_GROUPING = 1156 -- Options: Toggle item grouping
local BUILD_PEAKS = 40047 -- Peaks: Build any missing peaks
local UNDO_ITEMS = 4
local NAME_BYTES = 160 -- of the 255 that most file systems allow
local COLOUR = { 86, 156, 214 }

local function setting(key, default)
  local value = reaper.GetExtState(SECTION, key)
  return value ~= "" and value or default
end

-- The chosen options as flags of `airband render`.
function M.flags(options)
  local flags = {}
  for _, name in ipairs({ "preset", "model", "cutoff", "seed" }) do
    local value = options[name]
    if value and value ~= "" then
      flags[#flags + 1] = "--" .. name .. " " .. command.quoted(value)
    end
  end
  return table.concat(flags, " ")
end

-- A take's file and how the take's time maps to it: file, first, length, reversed.
-- A section source, which may be reversed, wraps the file: position p of the section is file position `first + p`, or
-- `first + length - p` when reversed.
local function unwrapped(take)
  local source = reaper.GetMediaItemTake_Source(take)
  if not source then
    return nil
  end
  local parent = reaper.GetMediaSourceParent(source)
  if not parent then
    return source, 0, reaper.GetMediaSourceLength(source), false
  end
  local ok, first, length, reversed = reaper.PCM_Source_GetSectionInfo(source)
  if not ok then
    return nil
  end
  return parent, first, length, reversed
end

-- The stretch of its source that a take plays, in seconds of the source: the range under the item, or the range that
-- stretch markers lead to. Before the first marker and after the last, the source runs on as without markers.
local function needed(take, offset, span)
  local count = reaper.GetTakeNumStretchMarkers(take)
  if count == 0 then
    return offset, offset + span
  end
  local low, high = math.huge, -math.huge
  for index = 0, count - 1 do
    local _, position, source_position = reaper.GetTakeStretchMarker(take, index)
    low, high = math.min(low, source_position), math.max(high, source_position)
    if index == 0 then
      low = math.min(low, source_position - position)
    end
    if index == count - 1 then
      high = math.max(high, source_position + span - position)
    end
  end
  return low, high
end

-- The render request for an item, or nil and the reason.
function M.request(item)
  local take = reaper.GetActiveTake(item)
  if not take then
    return nil, "an empty item has nothing to restore"
  end
  if reaper.TakeIsMIDI(take) then
    return nil, "a MIDI item has no audio: render it first"
  end
  if math.floor(reaper.GetMediaItemInfo_Value(item, "C_LOCK")) & 1 == 1 then
    return nil, "a locked item stays as it is: unlock it first"
  end
  local file, first, length, reversed = unwrapped(take)
  local path = file and reaper.GetMediaSourceFileName(file, "") or ""
  if path == "" then
    return nil, "the take has no file on disk: glue the item first"
  end
  local rate = reaper.GetMediaSourceSampleRate(file)
  if rate <= 0 then
    return nil, path .. ": is missing, offline, or not audio"
  end
  local offset = reaper.GetMediaItemTakeInfo_Value(take, "D_STARTOFFS")
  local span = reaper.GetMediaItemInfo_Value(item, "D_LENGTH") * reaper.GetMediaItemTakeInfo_Value(take, "D_PLAYRATE")
  local first_needed, last_needed = needed(take, offset, span)
  local low, high = math.max(first_needed, 0), math.min(last_needed, length)
  if last_needed > length and reaper.GetMediaItemInfo_Value(item, "B_LOOPSRC") == 1 then
    low, high = 0, length
  end
  if high <= low then
    return nil, "the item lies outside its source"
  end
  local from, to = first + low, first + high
  if reversed then
    from, to = first + length - high, first + length - low
  end
  local start_frame, end_frame = math.floor(from * rate + 1e-6), math.ceil(to * rate - 1e-6)
  local lead = reversed and end_frame / rate - to or from - start_frame / rate
  return {
    item = item,
    take = take,
    path = path,
    start_frame = start_frame,
    end_frame = end_frame,
    offset = offset - low + lead,
    shift = low - lead,
    reversed = reversed,
  }
end

-- The start of a name, short enough for a file name with additions; cuts no UTF-8 character in two.
local function shortened(name)
  local last = NAME_BYTES
  while #name > last and name:byte(last + 1) & 0xC0 == 0x80 do
    last = last - 1
  end
  return name:sub(1, last)
end

local function output_path(path)
  local stem = shortened(path:match("([^/\\]+)%.[^./\\]+$") or path:match("([^/\\]+)$"))
  local id = reaper.genGuid(""):gsub("[{}-]", ""):sub(1, 8):lower()
  return reaper.GetProjectPath("") .. "/" .. stem .. "-airband-" .. id .. ".wav"
end

-- The arguments of `airband` for a request.
local function arguments(request, flags)
  return ("render %s -o %s --start %dsmp --end %dsmp --format wav --json %s"):format(
    command.quoted(request.path),
    command.quoted(request.out),
    request.start_frame,
    request.end_frame,
    flags
  )
end

local function description(request, line)
  local parts = { "Airband" }
  local model, seed, cutoff = json.text(line, "model"), json.number(line, "seed"), json.number(line, "cutoff_hz")
  parts[#parts + 1] = model
  parts[#parts + 1] = seed and ("seed %d"):format(seed)
  parts[#parts + 1] = line:match('"generated": true') and cutoff and ("above %.0f Hz"):format(cutoff) or "nothing missing"
  local _, name = reaper.GetSetMediaItemTakeInfo_String(request.take, "P_NAME", "", false)
  return ("%s (%s)"):format(name, table.concat(parts, ", "))
end

-- Copies a take with its volume, pan, envelopes, effects and stretch markers; nil if REAPER makes no copy.
-- Afterwards only its item is selected.
local function duplicated(request)
  local count = reaper.CountTakes(request.item)
  local grouped = reaper.GetToggleCommandState(TOGGLE_GROUPING) == 1
  reaper.SelectAllMediaItems(0, false)
  reaper.SetMediaItemSelected(request.item, true)
  reaper.SetActiveTake(request.take)
  if grouped then
    reaper.Main_OnCommand(TOGGLE_GROUPING, 0)
  end
  reaper.Main_OnCommand(DUPLICATE_TAKE, 0)
  if grouped then
    reaper.Main_OnCommand(TOGGLE_GROUPING, 0)
  end
  return reaper.CountTakes(request.item) == count + 1 and reaper.GetTake(request.item, count) or nil
end

-- Puts a finished file on its item as the active take; the old take stays.
function M.attach(request)
  if not reaper.ValidatePtr2(0, request.item, "MediaItem*") or not reaper.ValidatePtr2(0, request.take, "MediaItem_Take*") then
    return nil, "the item is gone; the result is " .. request.out
  end
  local source = reaper.PCM_Source_CreateFromFile(request.out)
  if not source then
    return nil, "REAPER cannot read " .. request.out
  end
  local take = duplicated(request)
  if not take then
    return nil, "REAPER added no take; the result is " .. request.out
  end
  reaper.SetMediaItemTake_Source(take, source)
  reaper.SetMediaItemTakeInfo_Value(take, "D_STARTOFFS", request.offset)
  local red, green, blue = table.unpack(COLOUR)
  reaper.SetMediaItemTakeInfo_Value(take, "I_CUSTOMCOLOR", reaper.ColorToNative(red, green, blue) | 0x1000000)
  for index = 0, reaper.GetTakeNumStretchMarkers(request.take) - 1 do
    local _, position, source_position = reaper.GetTakeStretchMarker(request.take, index)
    reaper.SetTakeStretchMarker(take, index, position, source_position - request.shift)
  end
  reaper.GetSetMediaItemTakeInfo_String(take, "P_NAME", description(request, request.line), true)
  reaper.SetActiveTake(take)
  if request.reversed then
    reaper.Main_OnCommand(TOGGLE_REVERSE, 0)
    reaper.SetMediaItemTakeInfo_Value(take, "D_STARTOFFS", request.offset)
  end
  return take
end

local Batch = {}
Batch.__index = Batch

function Batch:draw(share)
  gfx.x, gfx.y = 12, 10
  gfx.set(0.9, 0.9, 0.9)
  gfx.drawstr(("Airband: item %d of %d, %.0f %%   (Esc cancels)"):format(self.at, #self.requests, share * 100))
  gfx.rect(12, 34, 376, 12, false)
  gfx.set(0.34, 0.61, 0.84)
  gfx.rect(13, 35, 374 * share, 10, true)
  gfx.update()
end

function Batch:start()
  local request = self.requests[self.at]
  request.out = output_path(request.path)
  self.status = self.folder .. "/" .. reaper.genGuid(""):gsub("[{}]", "") .. ".jsonl"
  if not command.start(arguments(request, self.flags), self.status) then
    self.errors[#self.errors + 1] = "could not start " .. command.path()
    self:finish()
    return
  end
  reaper.defer(function()
    self:watch()
  end)
end

function Batch:watch()
  local request = self.requests[self.at]
  local state = command.told(self.status)
  local key = gfx.getchar()
  self.cancelled = self.cancelled or key == 27 or key == -1
  if self.cancelled and not self.interrupted then
    self.interrupted = command.interrupt(self.status, request.out)
  end
  self:draw(state.share)
  if not state.over then
    reaper.defer(function()
      self:watch()
    end)
    return
  end
  command.forget(self.status)
  if state.done then
    request.line = state.done
    self.finished[#self.finished + 1] = request
  elseif not self.cancelled then
    self.errors[#self.errors + 1] = request.path .. ": " .. state.error
  end
  self.at = self.at + 1
  if self.cancelled or self.at > #self.requests then
    self:finish()
  else
    self:start()
  end
end

function Batch:finish()
  gfx.quit()
  if #self.finished > 0 then
    local selected = {}
    for index = 0, reaper.CountSelectedMediaItems(0) - 1 do
      selected[index + 1] = reaper.GetSelectedMediaItem(0, index)
    end
    reaper.Undo_BeginBlock()
    reaper.PreventUIRefresh(1)
    for _, request in ipairs(self.finished) do
      local take, why = M.attach(request)
      if not take then
        self.errors[#self.errors + 1] = why
      end
    end
    reaper.SelectAllMediaItems(0, false)
    for _, item in ipairs(selected) do
      reaper.SetMediaItemSelected(item, true)
    end
    reaper.PreventUIRefresh(-1)
    reaper.Undo_EndBlock("Airband: restore as new take", UNDO_ITEMS)
    reaper.Main_OnCommand(BUILD_PEAKS, 0)
    reaper.UpdateArrange()
  end
  if #self.errors > 0 then
    reaper.ShowMessageBox(table.concat(self.errors, "\n"), "Airband", 0)
  end
end

-- Renders the selected items one after the other, and adds the results as takes.
function M.restore(options)
  local requests, errors = {}, {}
  for index = 0, reaper.CountSelectedMediaItems(0) - 1 do
    local request, why = M.request(reaper.GetSelectedMediaItem(0, index))
    if request then
      requests[#requests + 1] = request
    else
      errors[#errors + 1] = why
    end
  end
  if #requests == 0 then
    reaper.ShowMessageBox(errors[1] or "Select at least one audio item.", "Airband", 0)
    return
  end
  local data = reaper.GetResourcePath() .. "/Data/Airband"
  reaper.RecursiveCreateDirectory(data, 0)
  gfx.init("Airband", 400, 60)
  local batch = setmetatable({
    requests = requests,
    errors = errors,
    finished = {},
    flags = M.flags(options),
    folder = data,
    at = 1,
  }, Batch)
  batch:start()
end

-- Asks for the options, remembers them, and restores; does nothing if the dialog is dismissed. An empty field means the
-- preset's value; for the command, the installed one.
function M.ask()
  local names = { "preset", "model", "cutoff", "seed", "command" }
  local values = {}
  for index, name in ipairs(names) do
    values[index] = setting(name, name == "preset" and "music" or "")
  end
  local captions = "Preset,Model (empty: the preset's),Cut-off (auto or Hz),Seed,Command (empty: found),extrawidth=160"
  local ok, answer = reaper.GetUserInputs("Airband", #names, captions, table.concat(values, ","))
  if not ok then
    return
  end
  local options, index = {}, 0
  for value in (answer .. ","):gmatch("([^,]*),") do
    index = index + 1
    options[names[index]] = value
    reaper.SetExtState(SECTION, names[index], value, true)
  end
  M.restore(options)
end

return M
