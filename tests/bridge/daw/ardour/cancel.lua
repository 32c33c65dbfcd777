-- ardour7-lua cancel.lua AIRBAND_SESSION.LUA FOLDER NAME TRACK: runs that script with a fake progress window, as Ardour
-- has with a display, and presses its cancel button once the render is running.
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
