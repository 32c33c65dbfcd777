-- @noindex
-- Airband: imports what Airband Send delivers, as long as this action runs. Run it again to end it.

local folder = debug.getinfo(1, "S").source:match("^@(.*[/\\])")
dofile(folder .. "airband_takes.lua").watch()
