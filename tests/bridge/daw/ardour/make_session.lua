-- ardour7-lua make_session.lua FOLDER NAME CHANNELS [WORD ...]: makes a session with one track "vox" and a region of 3
-- s at 2 s, whose samples the caller writes (it prints the paths). The region is trimmed by 12345 samples at its start,
-- has a fade-in of 4800 (constant power), a fade-out of 2400 (linear), and a gain of 0.5. Words: `dry` leaves out all
-- that except the trim; `frames=N` makes the source N frames long instead of 3 s; `stacked` lays a second region,
-- "over", on top, from 3 s to 4 s; `muted` mutes the region; `wide` makes the source stereo, whatever the track is.
local ok, problem = pcall(function()
  local folder, name, channels = arg[1], arg[2], tonumber(arg[3])
  AudioEngine:set_backend("None (Dummy)", "", "")
  local words = {}
  for i = 4, #arg do
    words[arg[i]:match("^[^=]*")] = arg[i]:match("=(.*)") or true
  end
  local session = assert(create_session(folder, name, 48000))
  session:add_master_bus(ARDOUR.ChanCount(ARDOUR.DataType("audio"), 2))
  local function new_track(called, width)
    local order, normal = ARDOUR.PresentationInfo.max_order, ARDOUR.TrackMode.Normal
    for track in session:new_audio_track(width, 2, nil, 1, called, order, normal, true):iter() do
      return track
    end
  end
  local track = new_track("vox", channels)
  local source = words.wide and new_track("wide", 2) or track
  local made = source:bounce_range(96000, 96000 + tonumber(words.frames or 144000), ARDOUR.InterThreadInfo(), ARDOUR.LuaAPI.nil_proc(), false, "vox")
  for channel = 0, made:to_audioregion():to_readable():n_channels() - 1 do
    print("SOURCE=" .. made:source(channel):to_filesource():path())
  end
  track:playlist():add_region(made, Temporal.timepos_t(96000), 1, false, 0, 0, false)
  for region in track:playlist():region_list():iter() do
    region:trim_front(Temporal.timepos_t(96000 + 12345))
    region:set_muted(words.muted == true)
    if not words.dry then
      local audio = region:to_audioregion()
      audio:set_fade_in_length(4800)
      audio:set_fade_in_shape(ARDOUR.FadeShape.FadeConstantPower)
      audio:set_fade_out_length(2400)
      audio:set_scale_amplitude(0.5)
    end
  end
  if words.stacked then
    local over = track:bounce_range(144000, 192000, ARDOUR.InterThreadInfo(), ARDOUR.LuaAPI.nil_proc(), false, "over")
    track:playlist():add_region(over, Temporal.timepos_t(144000), 1, false, 0, 0, false)
  end
  session:save_state("")
  made, source, track, session = nil, nil, nil, nil
  collectgarbage()
  collectgarbage()
  close_session()
end)
print(ok and "MADE" or problem)
quit()
