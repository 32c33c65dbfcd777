-- @noindex
-- Airband for REAPER: what both actions share.
--
-- An item's part of its source file is sent to the `airband` command as (file, range), never as a crop, so the
-- whole source is analysed and the result lines up to the sample. The result becomes a new take. The command
-- runs beside REAPER; `watch` looks at what it prints, and all takes are added at the end in one undo block.

local M = {}

local SECTION = "Airband"
local TOGGLE_REVERSE = 41051 -- Item properties: Toggle take reverse
local BUILD_PEAKS = 40047 -- Peaks: Build any missing peaks
local UNDO_ITEMS = 4
local COLOUR = { 86, 156, 214 }
local COPIED = { "D_VOL", "D_PAN", "D_PANLAW", "D_PLAYRATE", "D_PITCH", "B_PPITCH", "I_CHANMODE", "I_PITCHMODE" }

local function windows()
  return reaper.GetOS():match("^Win") ~= nil
end

local function quoted(text)
  if windows() then
    return '"' .. text:gsub('"', "") .. '"'
  end
  return "'" .. text:gsub("'", "'\\''") .. "'"
end

local function setting(key, default)
  local value = reaper.GetExtState(SECTION, key)
  return value ~= "" and value or default
end

-- The settings of the last "with options", as flags of `airband render`.
function M.flags(options)
  local flags = {}
  for _, name in ipairs({ "preset", "model", "cutoff", "seed" }) do
    local value = options[name]
    if value and value ~= "" then
      flags[#flags + 1] = "--" .. name .. " " .. quoted(value)
    end
  end
  return table.concat(flags, " ")
end

-- The file under a take and how the take's time runs through it.
-- A reversed or section source wraps the file: position p of the section is file position `first + p`, or
-- `first + length - p` when it is reversed.
local function unwrapped(take)
  local source = reaper.GetMediaItemTake_Source(take)
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

-- What to render for an item, or nil and why not.
function M.request(item)
  local take = reaper.GetActiveTake(item)
  if not take then
    return nil, "an empty item has nothing to restore"
  end
  if reaper.TakeIsMIDI(take) then
    return nil, "a MIDI item has no audio: render it first"
  end
  local file, first, length, reversed = unwrapped(take)
  local path = file and reaper.GetMediaSourceFileName(file, "") or ""
  if path == "" then
    return nil, "the take has no file on disk: glue the item first"
  end
  local rate = reaper.GetMediaSourceSampleRate(file)
  local offset = reaper.GetMediaItemTakeInfo_Value(take, "D_STARTOFFS")
  local span = reaper.GetMediaItemInfo_Value(item, "D_LENGTH") * reaper.GetMediaItemTakeInfo_Value(take, "D_PLAYRATE")
  local low, high = math.max(offset, 0), math.min(offset + span, length)
  if offset + span > length and reaper.GetMediaItemInfo_Value(item, "B_LOOPSRC") == 1 then
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

local function output_path(path)
  local stem = path:match("([^/\\]+)%.[^./\\]+$") or path:match("([^/\\]+)$")
  local id = reaper.genGuid(""):gsub("[{}-]", ""):sub(1, 8):lower()
  return reaper.GetProjectPath("") .. "/" .. stem .. "-airband-" .. id .. ".wav"
end

-- The command line that renders a request, writing its JSON lines to `status`.
function M.command(request, flags, status)
  local render = ("%s render %s -o %s --start %dsmp --end %dsmp --format wav --json %s"):format(
    setting("command", "airband"),
    quoted(request.path),
    quoted(request.out),
    request.start_frame,
    request.end_frame,
    flags
  )
  if windows() then
    return ('cmd.exe /C "%s > %s 2>&1 & echo {"what": "exit"} >> %s"'):format(render, quoted(status), quoted(status))
  end
  local script = ("echo $$ > %s; %s > %s 2>&1; echo '{\"what\": \"exit\"}' >> %s"):format(
    quoted(status .. ".pid"),
    render,
    quoted(status),
    quoted(status)
  )
  return "/bin/sh -c " .. quoted(script)
end

local function contents(path)
  local file = io.open(path, "rb")
  if not file then
    return ""
  end
  local text = file:read("a")
  file:close()
  return text
end

local function number(line, name)
  return tonumber(line:match('"' .. name .. '": ([%d.eE+-]+)'))
end

local function text_of(line, name)
  local value = line:match('"' .. name .. '": "(.-[^\\])"')
  return value and value:gsub('\\"', '"'):gsub("\\\\", "\\")
end

-- What the command has said so far: share done (0 to 1), over or not, the `done` line, and an error.
function M.told(text)
  local state = { share = 0, over = false }
  local last
  for line in text:gmatch("[^\r\n]+") do
    local what = line:match('"what": "(%a+)"')
    if what == "progress" then
      state.share = math.max(state.share, (number(line, "step") or 0) / math.max(number(line, "of") or 1, 1))
    elseif what == "done" then
      state.done = line
    elseif what == "failed" then
      state.error = text_of(line, "message")
    elseif what == "exit" then
      state.over = true
    elseif not what and line:match("%S") then
      last = line
    end
  end
  if state.over and not state.done then
    state.error = state.error or last or "the command ended without a word"
  end
  return state
end

local function interrupt(status)
  local pid = contents(status .. ".pid"):match("%d+")
  if pid then
    os.execute("pkill -TERM -P " .. pid)
  end
end

local function description(request, line)
  local parts = { "Airband" }
  local model, seed, cutoff = text_of(line, "model"), number(line, "seed"), number(line, "cutoff_hz")
  parts[#parts + 1] = model
  parts[#parts + 1] = seed and ("seed %d"):format(seed)
  parts[#parts + 1] = line:match('"generated": true') and cutoff and ("above %.0f Hz"):format(cutoff) or "nothing missing"
  local _, name = reaper.GetSetMediaItemTakeInfo_String(request.take, "P_NAME", "", false)
  return ("%s (%s)"):format(name, table.concat(parts, ", "))
end

-- Puts a finished file on its item as the active take. The take that was there stays.
function M.attach(request)
  if not reaper.ValidatePtr2(0, request.item, "MediaItem*") or not reaper.ValidatePtr2(0, request.take, "MediaItem_Take*") then
    return nil, "the item is gone; the result is " .. request.out
  end
  local source = reaper.PCM_Source_CreateFromFile(request.out)
  if not source then
    return nil, "REAPER cannot read " .. request.out
  end
  local take = reaper.AddTakeToMediaItem(request.item)
  reaper.SetMediaItemTake_Source(take, source)
  for _, key in ipairs(COPIED) do
    reaper.SetMediaItemTakeInfo_Value(take, key, reaper.GetMediaItemTakeInfo_Value(request.take, key))
  end
  reaper.SetMediaItemTakeInfo_Value(take, "D_STARTOFFS", request.offset)
  local red, green, blue = table.unpack(COLOUR)
  reaper.SetMediaItemTakeInfo_Value(take, "I_CUSTOMCOLOR", reaper.ColorToNative(red, green, blue) | 0x1000000)
  for index = 0, reaper.GetTakeNumStretchMarkers(request.take) - 1 do
    local _, position, source_position = reaper.GetTakeStretchMarker(request.take, index)
    reaper.SetTakeStretchMarker(take, -1, position, source_position - request.shift)
  end
  reaper.GetSetMediaItemTakeInfo_String(take, "P_NAME", description(request, request.line), true)
  reaper.SetActiveTake(take)
  if request.reversed then
    reaper.SelectAllMediaItems(0, false)
    reaper.SetMediaItemSelected(request.item, true)
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
  if not reaper.ExecProcess(M.command(request, self.flags, self.status), -1) then
    self.errors[#self.errors + 1] = "could not start " .. setting("command", "airband")
    self:finish()
    return
  end
  reaper.defer(function()
    self:watch()
  end)
end

function Batch:watch()
  local request = self.requests[self.at]
  local state = M.told(contents(self.status))
  local key = gfx.getchar()
  if (key == 27 or key == -1) and not self.cancelled then
    self.cancelled = true
    interrupt(self.status)
  end
  self:draw(state.share)
  if not state.over then
    reaper.defer(function()
      self:watch()
    end)
    return
  end
  os.remove(self.status)
  os.remove(self.status .. ".pid")
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

-- Renders the selected items one after the other and adds the results as takes.
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
  local folder = reaper.GetResourcePath() .. "/Data/Airband"
  reaper.RecursiveCreateDirectory(folder, 0)
  gfx.init("Airband", 400, 60)
  local batch = setmetatable({
    requests = requests,
    errors = errors,
    finished = {},
    flags = M.flags(options),
    folder = folder,
    at = 1,
  }, Batch)
  batch:start()
end

-- Asks for the options, remembers them, and restores; nothing happens when the dialog is dismissed.
function M.ask()
  local names = { "preset", "model", "cutoff", "seed" }
  local defaults = { preset = "music", model = "auto", cutoff = "auto", seed = "0" }
  local values = {}
  for index, name in ipairs(names) do
    values[index] = setting(name, defaults[name])
  end
  local ok, answer = reaper.GetUserInputs("Airband", #names, "Preset,Model,Cut-off (auto or Hz),Seed", table.concat(values, ","))
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
