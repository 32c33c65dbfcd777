-- @noindex
-- Airband: imports takes that Airband Send delivered since the last time, each at its place on its track.

local folder = debug.getinfo(1, "S").source:match("^@(.*[/\\])")
local count, damaged = dofile(folder .. "airband_takes.lua").import()
if #damaged > 0 then
  reaper.ShowMessageBox("These sidecars are damaged:\n" .. table.concat(damaged, "\n"), "Airband", 0)
elseif count == 0 then
  reaper.ShowMessageBox("No new takes.", "Airband", 0)
end
