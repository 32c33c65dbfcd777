-- ardour7-lua list_regions.lua FOLDER NAME: prints a line per region, "REGION <track>|<position>|<file of each
-- channel>".
local ok, problem = pcall(function()
  AudioEngine:set_backend("None (Dummy)", "", "")
  local session = assert(load_session(arg[1], arg[2]))
  for route in session:get_tracks():iter() do
    for region in route:to_track():playlist():region_list():iter() do
      local files, audio = {}, region:to_audioregion()
      for channel = 0, audio:to_readable():n_channels() - 1 do
        files[channel + 1] = audio:source(channel):to_filesource():path()
      end
      print("REGION " .. table.concat({ route:name(), region:position():samples(), table.unpack(files) }, "|"))
    end
  end
  session = nil
  collectgarbage()
  collectgarbage()
  close_session()
end)
print(ok and "LISTED" or problem)
quit()
