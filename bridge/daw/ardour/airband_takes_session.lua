-- Puts takes that Airband Send delivered into a saved session, without a window or a sound card:
--
--   AIRBAND_SEND_FOLDER=... ardour7-lua airband_takes_session.lua SESSION_FOLDER SESSION_NAME
--
-- Prints AIRBAND-OK if all of it worked; check for that, as ardour7-lua always ends with status 0.

local here = debug.getinfo(1, "S").source:match("^@(.*/)") or "./"

local ok, problem = pcall(function()
  AudioEngine:set_backend("None (Dummy)", "", "")
  Session = assert(load_session(arg[1], arg[2]), "cannot load the session " .. arg[2])
  ardour = function() end
  dofile(here .. "airband_takes.lua")
  local done, why = pcall(factory())
  Session:save_state("")
  Session = nil
  collectgarbage()
  collectgarbage()
  close_session()
  assert(done, why)
end)
print(ok and "AIRBAND-OK" or "AIRBAND-FAILED " .. tostring(problem))
quit()
