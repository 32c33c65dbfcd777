-- A behavioural fake of REAPER's API: items, takes and sources are tables, commands really run, deferred
-- functions are called by `run`. A name that is not faked raises, so a misspelt call cannot pass.

local function headers(path)
  local file = io.open(path, "rb")
  if not file then
    return nil
  end
  file:seek("set", 12)
  local channels, rate, bits
  while true do
    local head = file:read(8)
    if not head or #head < 8 then
      file:close()
      return nil
    end
    local name, size = string.unpack("<c4I4", head)
    if name == "fmt " then
      local _
      _, channels, rate, _, _, bits = string.unpack("<I2I2I4I4I2I2", file:read(size))
    elseif name == "data" then
      file:close()
      return rate, size // (channels * bits // 8)
    else
      file:seek("cur", size + size % 2)
    end
  end
end

return function(folder)
  local fake = { ext = {}, project = {}, tracks = {}, now = 0, items = {}, commands = {}, undo = {}, messages = {}, depth = 0, refresh = 0, key = 0 }
  local deferred = {}

  local function selected()
    local found = {}
    for _, item in ipairs(fake.items) do
      if item.selected then
        found[#found + 1] = item
      end
    end
    return found
  end

  local function copied(take)
    local copy = {}
    for key, value in pairs(take) do
      copy[key] = type(value) == "table" and key ~= "item" and key ~= "source" and copied(value) or value
    end
    return copy
  end

  local api = {
    GetOS = function()
      return fake.os or "Other"
    end,
    GetResourcePath = function()
      return folder .. "/resources"
    end,
    RecursiveCreateDirectory = function(path)
      return os.execute("mkdir -p '" .. path .. "'") and 1 or 0
    end,
    GetProjectPath = function()
      return folder
    end,
    GetExtState = function(section, key)
      return fake.ext[section .. "/" .. key] or ""
    end,
    SetExtState = function(section, key, value)
      fake.ext[section .. "/" .. key] = value
    end,
    GetProjExtState = function(_, section, key)
      local value = fake.project[section .. "/" .. key]
      return value and 1 or 0, value or ""
    end,
    SetProjExtState = function(_, section, key, value)
      fake.project[section .. "/" .. key] = value
    end,
    EnumerateFiles = function(path, index)
      if index < 0 then
        fake.files = nil
        return nil
      end
      if not fake.files then
        fake.files = {}
        for name in io.popen("ls '" .. path .. "'"):lines() do
          fake.files[#fake.files + 1] = name
        end
      end
      return fake.files[index + 1]
    end,
    time_precise = function()
      fake.now = fake.now + 1
      return fake.now
    end,
    CountTracks = function()
      return #fake.tracks
    end,
    GetTrack = function(_, index)
      return fake.tracks[index + 1]
    end,
    GetTrackName = function(track)
      return true, track.name
    end,
    InsertTrackAtIndex = function(index)
      table.insert(fake.tracks, index + 1, { name = "" })
    end,
    GetSetMediaTrackInfo_String = function(track, key, value)
      assert(key == "P_NAME")
      track.name = value
      return true, value
    end,
    AddMediaItemToTrack = function(track)
      local item = { track = track, values = {}, takes = {}, active = 1 }
      fake.items[#fake.items + 1] = item
      return item
    end,
    SetMediaItemInfo_Value = function(item, key, value)
      item.values[key] = value
      return true
    end,
    genGuid = function()
      return ("{%08X-0000-0000-0000-000000000000}"):format(math.random(0, 0x7fffffff))
    end,
    ValidatePtr2 = function(_, object)
      return not object.deleted
    end,
    CountSelectedMediaItems = function()
      return #selected()
    end,
    GetSelectedMediaItem = function(_, index)
      return selected()[index + 1]
    end,
    SelectAllMediaItems = function(_, on)
      for _, item in ipairs(fake.items) do
        item.selected = on
      end
    end,
    SetMediaItemSelected = function(item, on)
      item.selected = on
    end,
    GetActiveTake = function(item)
      return item.takes[item.active]
    end,
    SetActiveTake = function(take)
      for index, other in ipairs(take.item.takes) do
        if other == take then
          take.item.active = index
        end
      end
    end,
    CountTakes = function(item)
      return #item.takes
    end,
    GetTake = function(item, index)
      return item.takes[index + 1]
    end,
    GetToggleCommandState = function(command)
      assert(command == 1156)
      return fake.grouping and 1 or 0
    end,
    TakeIsMIDI = function(take)
      return take.midi == true
    end,
    GetMediaItemTake_Source = function(take)
      return take.source
    end,
    GetMediaSourceParent = function(source)
      return source.parent
    end,
    PCM_Source_GetSectionInfo = function(source)
      if not source.parent then
        return false, 0, 0, false
      end
      return true, source.first, source.length, source.reversed
    end,
    GetMediaSourceFileName = function(source)
      return source.path or ""
    end,
    GetMediaSourceSampleRate = function(source)
      return source.rate
    end,
    GetMediaSourceLength = function(source)
      return source.frames / source.rate, false
    end,
    GetMediaItemInfo_Value = function(item, key)
      return item.values[key] or 0
    end,
    GetMediaItemTakeInfo_Value = function(take, key)
      return take.values[key] or 0
    end,
    SetMediaItemTakeInfo_Value = function(take, key, value)
      take.values[key] = value
      return true
    end,
    GetSetMediaItemTakeInfo_String = function(take, key, value, set)
      if set then
        take.strings[key] = value
      end
      return true, take.strings[key] or ""
    end,
    AddTakeToMediaItem = function(item)
      local take = { item = item, values = { D_PLAYRATE = 1, D_VOL = 1 }, strings = {}, markers = {} }
      item.takes[#item.takes + 1] = take
      return take
    end,
    SetMediaItemTake_Source = function(take, source)
      take.source = source
      return true
    end,
    PCM_Source_CreateFromFile = function(path)
      local rate, frames = headers(path)
      return rate and { path = path, rate = rate, frames = frames }
    end,
    ColorToNative = function(red, green, blue)
      return red | green << 8 | blue << 16
    end,
    GetTakeNumStretchMarkers = function(take)
      return #take.markers
    end,
    GetTakeStretchMarker = function(take, index)
      local marker = take.markers[index + 1]
      return index, marker[1], marker[2]
    end,
    SetTakeStretchMarker = function(take, index, position, source_position)
      assert(take.markers[index + 1], "there is no such marker")
      take.markers[index + 1] = { position, source_position }
    end,
    ExecProcess = function(command, timeout)
      fake.commands[#fake.commands + 1] = command
      assert(timeout == -1, "a command that REAPER waits for would freeze it")
      fake.scripts = fake.scripts or {}
      local script = command:match("'(.-)'$") or command:match('"([^"]+)"+$')
      local file = io.open(script, "rb")
      fake.scripts[#fake.scripts + 1] = file and file:read("a")
      if fake.os == nil then
        os.execute(command .. " &")
      end
      return "0\n"
    end,
    defer = function(call)
      deferred[#deferred + 1] = call
    end,
    Undo_BeginBlock = function()
      fake.depth = fake.depth + 1
    end,
    Undo_EndBlock = function(name)
      fake.depth = fake.depth - 1
      fake.undo[#fake.undo + 1] = name
    end,
    PreventUIRefresh = function(change)
      fake.refresh = fake.refresh + change
    end,
    UpdateArrange = function() end,
    Main_OnCommand = function(command)
      if command == 1156 then
        fake.grouping = not fake.grouping
      end
      if command == 40639 then
        for _, item in ipairs(fake.grouping and fake.items or selected()) do
          local copy = copied(item.takes[item.active])
          copy.item = item
          item.takes[#item.takes + 1] = copy
        end
      end
      if command == 41051 then
        for _, item in ipairs(selected()) do
          local take = item.takes[item.active]
          local source = take.source
          take.source = { parent = source, first = 0, length = source.frames / source.rate, reversed = true }
          take.values.D_STARTOFFS = -1
        end
      end
    end,
    ShowMessageBox = function(text)
      fake.messages[#fake.messages + 1] = text
    end,
    GetUserInputs = function(_, count, _, defaults)
      fake.asked = { count = count, defaults = defaults }
      return fake.answer ~= nil, fake.answer or ""
    end,
  }
  fake.api = setmetatable({}, {
    __index = function(_, name)
      return api[name] or error("REAPER has no " .. name .. " in this fake", 2)
    end,
  })

  local drawing = { x = 0, y = 0 }
  for _, name in ipairs({ "init", "set", "rect", "drawstr", "update", "quit" }) do
    drawing[name] = function(...)
      fake.gfx = { name, ... }
      if name == "drawstr" then
        fake.drawn = ...
      end
    end
  end
  function drawing.getchar()
    return fake.key
  end
  fake.gfx_api = drawing

  -- Calls deferred functions until there are none, as REAPER does some thirty times a second.
  function fake.run(each)
    local turns = 0
    while #deferred > 0 do
      local now = deferred
      deferred = {}
      for _, call in ipairs(now) do
        call()
      end
      turns = turns + 1
      assert(turns < 6000, "the script defers without end")
      if each then
        each(turns)
      end
      os.execute("sleep 0.03")
    end
  end

  function fake.add(path, length, offset, rate)
    local source = api.PCM_Source_CreateFromFile(path)
    local item = { values = { D_LENGTH = length, D_POSITION = 10 }, takes = {}, active = 1, selected = true }
    item.takes[1] = {
      item = item,
      source = source,
      values = { D_STARTOFFS = offset or 0, D_PLAYRATE = rate or 1, D_VOL = 0.5, I_CHANMODE = 3 },
      strings = { P_NAME = "vox" },
      markers = {},
    }
    fake.items[#fake.items + 1] = item
    return item
  end

  return fake
end
