ardour {
  ["type"] = "EditorAction",
  name = "Airband: restore selected regions",
  author = "Airband",
  license = "GPLv3",
  description = [[
Regenerates the missing high band of each selected audio region. The source file and the region's range are
sent to the Airband engine; the result comes back as a new region on top of the old one, aligned to the
sample, with its fades, gain and envelope. One undo step takes it away. Needs the airband command.]],
}

function action_params()
  return {
    ["preset"] = { title = "Preset", default = "music" },
    ["flags"] = { title = "More flags of airband render", default = "" },
    ["command"] = { title = "Command", default = "airband" },
  }
end

function factory(params)
  local SUPERCLOCK_HZ = 282240000 -- Ardour stores audio time in these ticks, as "a" and a number
  local FRAMES_AT_ONCE = 4096
  local LOOK = "airband-look" -- a snapshot of the session, read for what the Lua interface does not tell

  local function option(name, default)
    local value = params and params[name]
    return value and value ~= "" and value or default
  end

  local function quoted(text)
    return "'" .. text:gsub("'", "'\\''") .. "'"
  end

  -- A WAV file's layout: where its samples lie, how many frames, channels, rate, bytes a sample, float or not.
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

  -- One file of several channels from Ardour's one file a channel.
  local function joined(paths)
    local first = layout(paths[1])
    local files = {}
    for index, path in ipairs(paths) do
      local other = layout(path)
      assert(
        other.frames == first.frames and other.bytes == first.bytes and other.rate == first.rate and other.channels == 1,
        "the channels of the region differ: " .. path
      )
      files[index] = assert(io.open(path, "rb"))
      files[index]:seek("set", other.offset)
    end
    local count = #paths
    local size = first.frames * count * first.bytes
    assert(size < 0xFFFFFFFF - 64, "the source is longer than a WAV file of several channels can be")
    local path = os.tmpname() .. ".wav"
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
      out:write(table.concat(mixed))
      left = left - frames
    end
    for _, file in ipairs(files) do
      file:close()
    end
    out:close()
    return path
  end

  -- Writes the channels of `result` over the samples of Ardour's own files.
  local function patch(result, paths)
    local from = layout(result)
    assert(from.channels == #paths, ("the engine returned %d channels for %d"):format(from.channels, #paths))
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
        file:write(table.concat(own))
      end
      left = left - frames
    end
    input:close()
    for _, file in ipairs(files) do
      file:close()
    end
  end

  -- The fades of every region, by region id, from a snapshot of the session.
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

  -- A fade's shape is not stored, only its curve: the level halfway tells the shapes apart.
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
      local path = region:source(channel):to_filesource():path()
      paths[channel + 1] = path
      distinct[path] = true
    end
    return paths, next(distinct, next(distinct)) == nil
  end

  local function render(region, channels)
    local paths, one_file = source_paths(region, channels)
    local rate = math.floor(Session:nominal_sample_rate())
    local source = layout(paths[1])
    assert(source.rate == rate, ("%s is at %d Hz and the session at %d Hz"):format(paths[1], source.rate, rate))
    local input = one_file and paths[1] or joined(paths)
    local output = os.tmpname() .. ".wav"
    local start = region:start():samples()
    local command = ("%s render %s -o %s --start %dsmp --end %dsmp --rate %d --format wav --bit-depth 32 -p %s %s"):format(
      option("command", os.getenv("AIRBAND_COMMAND") or "airband"),
      quoted(input),
      quoted(output),
      start,
      start + region:length():samples(),
      rate,
      quoted(option("preset", "music")),
      option("flags", os.getenv("AIRBAND_FLAGS") or "")
    )
    local done = os.execute(command)
    if not one_file then
      os.remove(input)
    end
    assert(done, "airband failed; the region is as it was. The command was:\n" .. command)
    return output
  end

  local function restore(region, curves)
    local audio = region:to_audioregion()
    local track = track_of(region)
    local channels = audio:to_readable():n_channels()
    local output = render(region, channels)

    -- A bounce makes a source of the right length that the session knows; its samples are then replaced.
    -- Fades, gain and envelope would be baked into it, so they are off for the while.
    local fade_in, fade_out = audio:fade_in_active(), audio:fade_out_active()
    local gain, envelope = audio:scale_amplitude(), audio:envelope_active()
    audio:set_fade_in_active(false)
    audio:set_fade_out_active(false)
    audio:set_scale_amplitude(1)
    audio:set_envelope_active(false)
    local first, frames = region:position():samples(), region:length():samples()
    local made = track:bounce_range(
      first,
      first + frames,
      ARDOUR.InterThreadInfo(),
      ARDOUR.LuaAPI.nil_proc(),
      false,
      region:name() .. "-airband"
    )
    audio:set_fade_in_active(fade_in)
    audio:set_fade_out_active(fade_out)
    audio:set_scale_amplitude(gain)
    audio:set_envelope_active(envelope)
    patch(output, (source_paths(made, channels)))
    os.remove(output)
    os.remove(output .. ".airband.json")
    os.remove((output:gsub("%.wav$", "")))

    local playlist = track:playlist()
    playlist:to_stateful():clear_changes()
    playlist:add_region(made, region:position(), 1, false, 0, 0, false)
    local placed = playlist:top_region_at(region:position()):to_audioregion()
    copy_fades(curves, placed)
    copy_envelope(audio, placed)
    placed:set_fade_in_active(fade_in)
    placed:set_fade_out_active(fade_out)
    placed:set_scale_amplitude(gain)
    Session:add_stateful_diff_command(playlist:to_statefuldestructible())
    print("Airband:", region:name(), "at", first, "frames", frames)
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
    Session:begin_reversible_command("Airband restore")
    for _, region in ipairs(regions) do
      restore(region, all_fades[region:to_stateful():id():to_s()] or {})
    end
    if not Session:abort_empty_reversible_command() then
      Session:commit_reversible_command(nil)
    end
  end
end
