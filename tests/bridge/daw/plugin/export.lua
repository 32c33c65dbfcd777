-- ardour7-lua export.lua FOLDER NAME PLUGIN START END OUT_FOLDER OUT_NAME [PARAMETER=VALUE ...] [until PARAMETER=VALUE]
-- Puts a plugin (its LV2 URI) on the track "vox", sets its parameters (by index) and exports [START, END) through it,
-- which Ardour does offline; then waits until the parameter after "until" has that value, and prints all parameters.
local ok, problem = pcall(function()
  local folder, name, uri, first, last, out_folder, out_name = table.unpack(arg, 1, 7)
  AudioEngine:set_backend("None (Dummy)", "", "")
  local session = assert(load_session(folder, name))
  local track
  for t in session:get_tracks():iter() do
    if t:name() == "vox" then
      track = t
    end
  end
  local plugin = ARDOUR.LuaAPI.new_plugin(session, uri, ARDOUR.PluginType.LV2, "")
  assert(not plugin:isnil(), "no such plugin: is LV2_PATH set?")
  assert(track:add_processor_by_index(plugin, 0, nil, true) == 0)
  local master = session:master_out() -- one of Ardour's own threads connects to it, now or later
  for channel = 0, 1 do
    track:output():audio(channel):connect(master:input():audio(channel):name())
  end
  sleep(1)
  local awaited
  for i = 8, #arg do
    local index, value = arg[i]:match("^(%d+)=(.*)$")
    if arg[i - 1] == "until" then
      awaited = { tonumber(index), tonumber(value) }
    elseif index then
      assert(ARDOUR.LuaAPI.set_processor_param(plugin, tonumber(index), tonumber(value)))
    end
  end
  local export = session:simple_export()
  export:set_name(out_name)
  export:set_folder(out_folder)
  export:set_range(tonumber(first), tonumber(last))
  assert(export:set_preset("9d6fbd2e-6d52-4c07-9d0a-3a3a4c1b7a10")) -- this test's own: 32-bit float WAV
  assert(export:run_export())
  for _ = 1, 60 do
    if awaited and ARDOUR.LuaAPI.get_processor_param(plugin, awaited[1], true) ~= awaited[2] then
      sleep(1)
    end
  end
  for index = 0, plugin:to_insert():plugin(0):parameter_count() - 1 do
    print("PARAMETER " .. index .. "=" .. ARDOUR.LuaAPI.get_processor_param(plugin, index, true))
  end
  print("EXPORTED")
  io.stdout:flush() -- as Ardour sometimes crashes while it releases an export
  export, plugin, master, track, session = nil, nil, nil, nil, nil
  collectgarbage()
  collectgarbage()
  close_session()
end)
if not ok then
  print(problem)
end
quit()
