-- @noindex
-- Airband: imports takes of Airband Send as they arrive, while this action runs. Run it again to end it.

local folder = debug.getinfo(1, "S").source:match("^@(.*[/\\])")
dofile(folder .. "airband_takes.lua").watch()
