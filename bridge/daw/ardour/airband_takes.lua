ardour {
  ["type"] = "EditorAction",
  name = "Airband: import takes of Airband Send",
  author = "Airband",
  license = "GPLv3",
  description = [[
Puts takes that Airband Send delivered on the timeline: each once, at the transport position of its capture, on the
track of the same name, which is created if missing. One undo step removes them all.]],
}

function action_params()
  return { ["folder"] = { title = "Folder of takes (empty: Airband Send's own)", default = "" } }
end

function factory(params)
  local FRAMES_AT_ONCE = 4096
  local UNNAMED = "Airband Send"

  local function results_folder()
    local chosen = params and params["folder"]
    if chosen and chosen ~= "" then
      return chosen
    end
    return os.getenv("AIRBAND_SEND_FOLDER") or os.getenv("HOME") .. "/Music/Airband"
  end

  local function contents(path)
    local file = assert(io.open(path, "rb"), "cannot open " .. path)
    local text = file:read("a")
    file:close()
    return text
  end

  -- A field of a sidecar, which is flat except for the knobs: a number, a text, or nil if empty or missing.
  local function field(json, name)
    local plain = json:gsub("\\\\", "\1"):gsub('\\"', "\2") -- JSON never contains these control characters
    local text = plain:match('"' .. name .. '": "([^"]+)"')
    return text and text:gsub("\1", "\\"):gsub("\2", '"') or tonumber(plain:match('"' .. name .. '": (-?%d+)'))
  end

  local function is_there(path)
    local file = io.open(path, "rb")
    return file and file:close()
  end

  -- The take of a sidecar, if it was delivered, has a position and its file exists; otherwise nil.
  local function placed(folder, stem)
    local about = contents(folder .. "/" .. stem .. ".take.json")
    local file, rate = field(about, "file"), field(about, "rate")
    assert(field(about, "state") and file and not file:find("/", 1, true) and rate and rate > 0, "a damaged sidecar")
    local frame = field(about, "transport_frame")
    return field(about, "state") == "delivered"
      and frame
      and is_there(folder .. "/" .. file)
      and { name = stem, path = folder .. "/" .. file, track = field(about, "track") or UNNAMED, seconds = frame / rate }
  end

  -- The placeable takes in the folder, in the order of their names, and errors about damaged sidecars.
  local function delivered(folder)
    local takes, told = {}, {}
    local list = assert(io.popen("ls -1 '" .. folder:gsub("'", "'\\''") .. "' 2>/dev/null", "r"))
    for name in list:lines() do
      local stem = name:match("^(.*)%.take%.json$")
      if stem then
        local read, take = pcall(placed, folder, stem)
        takes[#takes + 1] = read and take or nil
        told[#told + 1] = not read and stem .. ": " .. tostring(take) or nil
      end
    end
    list:close()
    return takes, told
  end

  -- A WAV file's layout: offset of its samples, channels, frames, rate, and whether they are 32-bit floats.
  local function layout(path)
    local file = assert(io.open(path, "rb"), "cannot open " .. path)
    local form, found, long_size = file:read(4), {}, nil
    assert(form == "RIFF" or form == "RF64", path .. " is not a WAV file")
    file:seek("set", 12)
    while not found.offset do
      local head = file:read(8)
      assert(head and #head == 8, "no audio in " .. path)
      local name, size = string.unpack("<c4I4", head)
      if name == "data" then
        found.offset = file:seek()
        found.frames = (size == 0xFFFFFFFF and long_size or size) // (4 * found.channels)
      else
        local next_chunk = file:seek() + size + size % 2
        if name == "ds64" then
          _, long_size = string.unpack("<I8I8", file:read(16))
        elseif name == "fmt " then
          local body = file:read(size)
          local kind, channels, rate, _, _, bits = string.unpack("<I2I2I4I4I2I2", body)
          kind = kind == 0xFFFE and string.unpack("<I2", body, 25) or kind
          found.channels, found.rate, found.is_float = channels, rate, kind == 3 and bits == 32
        end
        file:seek("set", next_chunk)
      end
    end
    file:close()
    return found
  end

  -- Whether the session has had a take: its region stays known even when it was removed from its track.
  local function is_known(name)
    for _, region in ARDOUR.RegionFactory.regions():iter() do
      if region:name():sub(1, #name) == name then
        return true
      end
    end
    return false
  end

  -- The track of that name, if it has as many channels as the take; otherwise an additional one.
  local function track_called(name, channels)
    for _, called in ipairs({ name, ("%s (Airband, %d ch)"):format(name, channels) }) do
      local route = Session:route_by_name(called)
      local track = not route:isnil() and route:to_track()
      if not track then
        local made = Session:new_audio_track(
          channels, 2, nil, 1, called, ARDOUR.PresentationInfo.max_order, ARDOUR.TrackMode.Normal, true
        )
        for new in made:iter() do
          return new
        end
      elseif not track:isnil() and route:n_inputs():n_audio() == channels then
        return track
      end
    end
    error("no track can be made for " .. name)
  end

  -- Writes the channels of a file over the samples of Ardour's own files, one for each channel.
  local function patch(path, from, region)
    local input, files = assert(io.open(path, "rb")), {}
    input:seek("set", from.offset)
    for channel = 0, from.channels - 1 do
      local own = region:to_audioregion():source(channel):to_filesource():path()
      local to = layout(own)
      assert(to.is_float, "the session records integers; set Session > Properties > Media to 32-bit float")
      assert(to.frames == from.frames, "Ardour made a region of another length")
      files[channel + 1] = assert(io.open(own, "r+b"))
      files[channel + 1]:seek("set", to.offset)
    end
    local left = from.frames
    while left > 0 do
      local frames = math.min(left, FRAMES_AT_ONCE)
      local block = input:read(4 * from.channels * frames)
      for channel, file in ipairs(files) do
        local samples = {}
        for frame = 1, frames do
          local at = 4 * ((frame - 1) * from.channels + channel - 1)
          samples[frame] = block:sub(at + 1, at + 4)
        end
        assert(file:write(table.concat(samples)))
      end
      left = left - frames
    end
    for _, file in ipairs({ input, table.unpack(files) }) do
      assert(file:close())
    end
  end

  -- Bounces a stretch of the right length, which makes a source that the session knows; then replaces its samples.
  local function place(take)
    local from = layout(take.path)
    local rate = math.floor(Session:nominal_sample_rate())
    assert(from.rate == rate, ("it is at %d Hz and the session at %d Hz"):format(from.rate, rate))
    assert(from.is_float, "its samples are not 32-bit floats")
    local track = track_called(take.track, from.channels)
    local first = math.floor(take.seconds * rate + 0.5)
    local made = track:bounce_range(
      first, first + from.frames, ARDOUR.InterThreadInfo(), ARDOUR.LuaAPI.nil_proc(), false, take.name
    )
    patch(take.path, from, made)
    local playlist = track:playlist()
    playlist:to_stateful():clear_changes()
    playlist:add_region(made, Temporal.timepos_t(first), 1, false, 0, 0, false)
    Session:add_stateful_diff_command(playlist:to_statefuldestructible())
    print("Airband:", take.name, "on", track:name(), "at", first)
  end

  local function import()
    local takes, told = delivered(results_folder())
    local count = 0
    Session:begin_reversible_command("Airband: import takes of Send")
    for _, take in ipairs(takes) do
      if not is_known(take.name) then
        local done, problem = pcall(place, take)
        count = count + (done and 1 or 0)
        if not done then
          told[#told + 1] = take.name .. ": " .. tostring(problem)
        end
      end
    end
    if not Session:abort_empty_reversible_command() then
      Session:commit_reversible_command(nil)
    end
    return count, table.concat(told, "\n")
  end

  return function()
    assert(os and io, "untick Preferences > Scripting > Sandbox all Lua scripts")
    local count, problems = import()
    if problems == "" then
      print(("Airband: %d takes imported"):format(count))
    elseif LuaDialog and LuaDialog.Message then
      LuaDialog.Message("Airband", problems, LuaDialog.MessageType.Error, LuaDialog.ButtonType.Close):run()
    else
      error(problems, 0)
    end
  end
end
