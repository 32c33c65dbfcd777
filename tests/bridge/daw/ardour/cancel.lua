-- ardour7-lua cancel.lua AIRBAND_SESSION.LUA FOLDER NAME TRACK: runs it with a window, as Ardour with a display has
-- one, whose button is pressed once the render is under way.
local shown
LuaDialog = {
  ProgressWindow = function()
    return {
      progress = function(_, share, label)
        shown = ("%s %.2f"):format(label, share)
      end,
      canceled = function()
        return true
      end,
      done = function()
        print("SHOWN " .. shown)
      end,
    }
  end,
}
local script = table.remove(arg, 1)
arg[0] = script
dofile(script)
