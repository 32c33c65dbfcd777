-- @description Airband: restore items as new takes
-- @version 0.1.0
-- @author Airband
-- @about
--   Regenerates the missing high band of the selected items with the Airband engine, and adds the result as a
--   new take. Below the cut-off it stays the original. Needs the `airband` command (`pipx install airband`);
--   its path can be set with the action "Airband - Restore item with options".
-- @provides
--   [main] .
--   [main] Airband - Restore item with options.lua
--   [main] Airband - Import takes of Airband Send.lua
--   [main] Airband - Import takes of Airband Send as they come.lua
--   [nomain] airband.lua
--   [nomain] airband_command.lua
--   [nomain] airband_json.lua
--   [nomain] airband_takes.lua

local folder = debug.getinfo(1, "S").source:match("^@(.*[/\\])")
dofile(folder .. "airband.lua").restore({ preset = "music" })
