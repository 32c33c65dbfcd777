-- Restores every audio region of one track of a saved session, without a window or a sound card:
--
--   AIRBAND_FLAGS='--model draft' ardour7-lua airband_session.lua SESSION_FOLDER SESSION_NAME TRACK
--
-- AIRBAND_FLAGS holds flags of `airband render`, AIRBAND_COMMAND a command to use instead of `airband`.
-- Prints AIRBAND-OK if all of it worked; check for that, as ardour7-lua always ends with status 0.

local folder, name, track_name = arg[1], arg[2], arg[3]
local here = debug.getinfo(1, "S").source:match("^@(.*/)") or "./"

local ok, problem = pcall(function()
  AudioEngine:set_backend("None (Dummy)", "", "")
  Session = assert(load_session(folder, name), "cannot load the session " .. name)
  local playlist
  for route in Session:get_tracks():iter() do
    if route:name() == track_name then
      playlist = route:to_track():playlist()
    end
  end
  assert(playlist, "no track is called " .. track_name)
  local regions = playlist:region_list()
  Editor = {
    get_selection = function()
      return { regions = { regionlist = function()
        return regions
      end } }
    end,
  }
  ardour = function() end
  dofile(here .. "airband_restore.lua")
  factory()()
  Session:save_state("")
  playlist, regions, Editor, Session = nil, nil, nil, nil
  collectgarbage()
  collectgarbage()
  close_session()
end)
print(ok and "AIRBAND-OK" or "AIRBAND-FAILED " .. tostring(problem))
quit()
