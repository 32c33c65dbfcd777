ardour {
  ["type"] = "EditorAction",
  name = "Airband: restore selected regions",
  author = "Airband",
  license = "GPLv3",
  description = [[
Regenerates the missing high band of each selected audio region. The Airband engine gets the source file and the
region's range; the result becomes a new region directly above the old one, which is muted. It is aligned to the sample,
with the old region's fades, gain and envelope. One undo step takes it back. Needs the airband command.]],
}

function action_params()
  return {
    ["preset"] = { title = "Preset", default = "music" },
    ["flags"] = { title = "Further flags of airband render", default = "" },
    ["command"] = { title = "Command (empty: as installed)", default = "" },
  }
end

function factory(params)
  local SUPERCLOCK_HZ = 282240000 -- ticks per second of Ardour's stored audio times: "a" and a number of ticks
  local FRAMES_AT_ONCE = 4096
  local LOOK = "airband-look" -- name of a session snapshot, read for what the Lua interface does not provide

  local temporary = {} -- files to delete when the action ends

  local function quoted(text)
    return "'" .. text:gsub("'", "'\\''") .. "'"
  end

  local function option(name, default)
    local value = params and params[name]
    return value and value ~= "" and value or default
  end

  local function temporary_wav()
    local name = os.tmpname()
    for _, suffix in ipairs({ "", ".wav", ".wav.airband.json" }) do
      temporary[#temporary + 1] = name .. suffix
    end
    return name .. ".wav"
  end

  local function remove_temporary()
    for _, path in ipairs(temporary) do
      os.remove(path)
    end
    temporary = {}
  end

  -- The command: as set, or where `airband daw install ardour` found it, since a DAW may lack the user's PATH.
  local function command()
    local file = io.open(ARDOUR.user_config_directory(-1) .. "/scripts/airband-command.txt", "r")
    local installed = file and file:read("l")
    if file then
      file:close()
    end
    return option("command", os.getenv("AIRBAND_COMMAND") or installed and quoted(installed) or "airband")
  end

  -- A WAV file's layout: offset of its samples, frames, channels, rate, bytes per sample, float or not.
  local function layout(path)
    local file = assert(io.open(path, "rb"), "cannot open " .. path)
    local form = file:read(4)
    assert(form == "RIFF" or form == "RF64", path .. " is not a WAV file; Airband reads sessions that record WAV or RF64")
    file:seek("set", 12)
    local found, long_size = { path = path }, nil
    while true do
      local head = file:read(8)
      assert(head and #head == 8, "no audio in " .. path)
      local name, size = string.unpack("<c4I4", head)
      if name == "ds64" then
        local body = file:read(size)
        long_size = string.unpack("<I8", body, 9)
      elseif name == "fmt " then
        local body = file:read(size + size % 2)
        local kind, channels, rate, _, _, bits = string.unpack("<I2I2I4I4I2I2", body)
        if kind == 0xFFFE then
          kind = string.unpack("<I2", body, 25)
        end
        found.float, found.channels, found.rate, found.bytes = kind == 3, channels, rate, bits // 8
      elseif name == "data" then
        if size == 0xFFFFFFFF and long_size then
          size = long_size
        end
        found.offset = file:seek()
        found.frames = size // (found.channels * found.bytes)
        file:close()
        return found
      else
        file:seek("cur", size + size % 2)
      end
    end
  end

  local function split(block, bytes)
    local parts = {}
    for at = 1, #block, bytes do
      parts[#parts + 1] = block:sub(at, at + bytes - 1)
    end
    return parts
  end

  -- One file of several channels, from Ardour's files of one channel each.
  local function joined(paths)
    local first = layout(paths[1])
    local files = {}
    for index, path in ipairs(paths) do
      local other = layout(path)
      assert(
        other.frames == first.frames and other.bytes == first.bytes and other.rate == first.rate and other.channels == 1,
        "the channels of the region differ in format or length: " .. path
      )
      files[index] = assert(io.open(path, "rb"))
      files[index]:seek("set", other.offset)
    end
    local count = #paths
    local size = first.frames * count * first.bytes
    assert(size < 0xFFFFFFFF - 64, "the source is longer than a WAV file of several channels can be")
    local path = temporary_wav()
    local out = assert(io.open(path, "wb"))
    out:write("RIFF", string.pack("<I4", size + 36), "WAVEfmt ", string.pack("<I4", 16))
    out:write(string.pack(
      "<I2I2I4I4I2I2",
      first.float and 3 or 1,
      count,
      first.rate,
      first.rate * count * first.bytes,
      count * first.bytes,
      8 * first.bytes
    ))
    out:write("data", string.pack("<I4", size))
    local left = first.frames
    while left > 0 do
      local frames = math.min(left, FRAMES_AT_ONCE)
      local channels, mixed = {}, {}
      for index, file in ipairs(files) do
        channels[index] = split(file:read(frames * first.bytes), first.bytes)
      end
      for frame = 1, frames do
        for index = 1, count do
          mixed[#mixed + 1] = channels[index][frame]
        end
      end
      assert(out:write(table.concat(mixed)))
      left = left - frames
    end
    for _, file in ipairs(files) do
      file:close()
    end
    assert(out:close()) -- the last of it is written then, and a disk may be full
    return path
  end

  -- Writes the channels of `result` over the samples of Ardour's own files. A mono track, which plays only the first
  -- channel of a stereo region, has one such file and gets that channel.
  local function patch(result, paths)
    local from = layout(result)
    assert(from.channels >= #paths, ("the engine returned %d channels for %d"):format(from.channels, #paths))
    local input = assert(io.open(result, "rb"))
    input:seek("set", from.offset)
    local files = {}
    for index, path in ipairs(paths) do
      local to = layout(path)
      assert(
        to.float and to.bytes == 4 and from.float,
        "the session records " .. 8 * to.bytes .. "-bit integers; set Session > Properties > Media to 32-bit float"
      )
      assert(to.frames == from.frames and to.rate == from.rate, "the engine returned another length or rate")
      files[index] = assert(io.open(path, "r+b"))
      files[index]:seek("set", to.offset)
    end
    local left = from.frames
    while left > 0 do
      local frames = math.min(left, FRAMES_AT_ONCE)
      local samples = split(input:read(frames * from.channels * 4), 4)
      for index, file in ipairs(files) do
        local own = {}
        for frame = 0, frames - 1 do
          own[frame + 1] = samples[frame * from.channels + index]
        end
        assert(file:write(table.concat(own)))
      end
      left = left - frames
    end
    input:close()
    for _, file in ipairs(files) do
      assert(file:close())
    end
  end

  -- The fades of every region by region id, read from a snapshot of the session.
  local function fades()
    assert(Session:save_state(LOOK, false, false, false, false, false) == 0, "the session cannot be saved")
    local path = Session:path() .. "/" .. LOOK .. ".ardour"
    local file = assert(io.open(path, "rb"))
    local text = file:read("a")
    file:close()
    os.remove(path)
    local found = {}
    local playlists = text:find("<Playlists", 1, true) or 1
    for head, body in text:sub(playlists):gmatch("<Region (name=[^>]*)>(.-)</Region>") do
      local id = head:match(' id="(%d+)"')
      found[id] = {}
      for _, tag in ipairs({ "FadeIn", "FadeOut" }) do
        local events = body:match("<" .. tag .. ">.-<events>(.-)</events>")
        if events then
          local points = {}
          for when, value in events:gmatch("a(%d+) ([%d.e+-]+)") do
            points[#points + 1] = { tonumber(when) / SUPERCLOCK_HZ, tonumber(value) }
          end
          found[id][tag] = points
        end
      end
    end
    return found
  end

  -- A session stores a fade's curve, not its shape; the level at its middle tells the shape.
  local HALFWAY = {
    { 0.5, ARDOUR.FadeShape.FadeLinear },
    { 0.0316, ARDOUR.FadeShape.FadeFast },
    { 0.0972, ARDOUR.FadeShape.FadeSlow },
    { 0.7071, ARDOUR.FadeShape.FadeConstantPower },
    { 0.6, ARDOUR.FadeShape.FadeSymmetric },
  }

  local function shape_and_frames(points)
    local length = points[#points][1]
    local level = points[1][2]
    for index = 2, #points do
      local low, high = points[index - 1], points[index]
      if high[1] >= length / 2 then
        level = low[2] + (high[2] - low[2]) * (length / 2 - low[1]) / math.max(high[1] - low[1], 1e-9)
        break
      end
    end
    local best, distance = nil, math.huge
    for _, entry in ipairs(HALFWAY) do
      local away = math.abs(math.log(math.max(level, 1e-6) / entry[1]))
      if away < distance then
        best, distance = entry[2], away
      end
    end
    return best, math.floor(length * Session:nominal_sample_rate() + 0.5)
  end

  local function copy_fades(curves, to)
    if curves.FadeIn then
      local shape, frames = shape_and_frames(curves.FadeIn)
      to:set_fade_in_length(frames)
      to:set_fade_in_shape(shape)
    end
    if curves.FadeOut then
      local shape, frames = shape_and_frames(curves.FadeOut)
      to:set_fade_out_length(frames)
      to:set_fade_out_shape(shape)
    end
  end

  local function copy_envelope(from, to)
    local target = to:envelope()
    target:clear_list()
    for event in from:envelope():events():iter() do
      target:add(event.when, event.value, false, true)
    end
    to:set_envelope_active(from:envelope_active())
  end

  local function track_of(region)
    local id = region:to_stateful():id()
    for route in Session:get_tracks():iter() do
      local track = route:to_track()
      if not track:playlist():region_by_id(id):isnil() then
        return track
      end
    end
    error("no track holds the region " .. region:name())
  end

  local function source_paths(region, channels)
    local paths, distinct = {}, {}
    for channel = 0, channels - 1 do
      local file = region:source(channel):to_filesource()
      assert(not file:isnil(), region:name() .. " is made of other regions and has no file: bounce it first")
      local path = file:path()
      paths[channel + 1] = path
      distinct[path] = true
    end
    return paths, next(distinct, next(distinct)) == nil
  end

  -- A window with a cancel button; nil or false where Ardour has no windows.
  local function progress_window()
    return LuaDialog and LuaDialog.ProgressWindow and LuaDialog.ProgressWindow("Airband", true)
  end

  -- The text of a field in a line of JSON, or nil.
  local function text_of(line, name)
    local plain = line:gsub("\\\\", "\1"):gsub('\\"', "\2") -- JSON never contains these control characters
    local text = plain:match('"' .. name .. '": "([^"]*)"')
    return text and text:gsub("\\n", "\n"):gsub("\1", "\\"):gsub("\2", '"') or nil
  end

  -- Runs a command that prints JSON lines; returns true, or nil and the error.
  local function run(line, label, window)
    local pipe = assert(io.popen("echo $$; exec " .. line .. " --json 2>&1", "r"))
    local pid, failed, last, finished = pipe:read("l"), nil, nil, false
    for said in pipe:lines() do
      local what = said:match('"what": "(%a+)"')
      if what == "progress" and window then
        local step, of = tonumber(said:match('"step": (%d+)')), tonumber(said:match('"of": (%d+)'))
        window:progress(step / math.max(of, 1), label)
        if window:canceled() then
          os.execute("kill -INT " .. pid)
          failed = "cancelled"
        end
      elseif what == "failed" then
        failed = failed or text_of(said, "message")
      elseif what == "done" or what == "skipped" then
        finished = true
      elseif not what then
        last = said
      end
    end
    pipe:close()
    if finished and failed ~= "cancelled" then
      return true
    end
    return nil, failed or last or "the command ended without output"
  end

  -- Renders the range of a region to a file; changes nothing in the session.
  local function render(region, window)
    local channels = region:to_audioregion():to_readable():n_channels()
    local paths, one_file = source_paths(region, channels)
    local rate = math.floor(Session:nominal_sample_rate())
    local source = layout(paths[1])
    assert(source.rate == rate, ("%s is at %d Hz and the session at %d Hz"):format(paths[1], source.rate, rate))
    local input = one_file and paths[1] or joined(paths)
    local output = temporary_wav()
    local start = region:start():samples()
    local line = ("%s render %s -o %s --start %dsmp --end %dsmp --rate %d --format wav --bit-depth 32 -p %s %s"):format(
      command(),
      quoted(input),
      quoted(output),
      start,
      start + region:length():samples(),
      rate,
      quoted(option("preset", "music")),
      option("flags", os.getenv("AIRBAND_FLAGS") or "")
    )
    local done, why = run(line, region:name(), window)
    if not done then
      error(("%s: %s; no region was changed. The command was:\n%s"):format(region:name(), why, line), 0)
    end
    return output
  end

  -- Makes a new region of the track whose samples are those of a file.
  --
  -- A bounce makes a source of the right length that the session knows; then its samples are replaced. Fades, gain,
  -- envelope and mute would be baked into it, so they are switched off meanwhile.
  local function bounced(region, track, output)
    local audio = region:to_audioregion()
    local fade_in, fade_out = audio:fade_in_active(), audio:fade_out_active()
    local gain, envelope, muted = audio:scale_amplitude(), audio:envelope_active(), region:muted()
    audio:set_fade_in_active(false)
    audio:set_fade_out_active(false)
    audio:set_scale_amplitude(1)
    audio:set_envelope_active(false)
    region:set_muted(false)
    local first = region:position():samples()
    local made = track:bounce_range(
      first,
      first + region:length():samples(),
      ARDOUR.InterThreadInfo(),
      ARDOUR.LuaAPI.nil_proc(),
      false,
      region:name() .. "-airband"
    )
    audio:set_fade_in_active(fade_in)
    audio:set_fade_out_active(fade_out)
    audio:set_scale_amplitude(gain)
    audio:set_envelope_active(envelope)
    region:set_muted(muted)
    patch(output, (source_paths(made, made:to_audioregion():to_readable():n_channels())))
    return made
  end

  -- Puts the result directly above its region, and mutes the region, which would be heard through the fades.
  local function place(region, track, made, curves)
    local audio = region:to_audioregion()
    local playlist = track:playlist()
    playlist:to_stateful():clear_changes()
    region:to_stateful():clear_changes()
    playlist:add_region(made, region:position(), 1, false, 0, 0, false)
    local placed = playlist:top_region_at(region:position())
    for _ = 1, placed:layer() - region:layer() - 1 do
      playlist:lower_region(placed)
    end
    local new = placed:to_audioregion()
    copy_fades(curves, new)
    copy_envelope(audio, new)
    new:set_fade_in_active(audio:fade_in_active())
    new:set_fade_out_active(audio:fade_out_active())
    new:set_scale_amplitude(audio:scale_amplitude())
    placed:set_muted(region:muted())
    region:set_muted(true)
    Session:add_stateful_diff_command(playlist:to_statefuldestructible())
    Session:add_stateful_diff_command(region:to_statefuldestructible())
    print("Airband:", region:name(), "at", region:position():samples(), "frames", region:length():samples())
  end

  -- Renders and bounces all regions before it places the first, so that a failure changes nothing audible.
  local function restore(regions, all_fades, window)
    local results = {}
    for index, region in ipairs(regions) do
      local track = track_of(region)
      results[index] = { region, track, render(region, window) }
    end
    for _, result in ipairs(results) do
      result[3] = bounced(table.unpack(result))
    end
    Session:begin_reversible_command("Airband restore")
    for _, result in ipairs(results) do
      local region, track, made = table.unpack(result)
      place(region, track, made, all_fades[region:to_stateful():id():to_s()] or {})
    end
    if not Session:abort_empty_reversible_command() then
      Session:commit_reversible_command(nil)
    end
  end

  return function()
    assert(os and io, "untick Preferences > Scripting > Sandbox all Lua scripts")
    local all_fades = fades()
    local regions = {}
    for region in Editor:get_selection().regions:regionlist():iter() do
      if not region:to_audioregion():isnil() then
        regions[#regions + 1] = region
      end
    end
    local window = progress_window()
    local done, problem = pcall(restore, regions, all_fades, window)
    remove_temporary()
    if window then
      window:done()
    end
    if not done and LuaDialog and LuaDialog.Message then
      LuaDialog
        .Message("Airband", tostring(problem), LuaDialog.MessageType.Error, LuaDialog.ButtonType.Close)
        :run()
    elseif not done then
      error(problem, 0)
    end
  end
end
