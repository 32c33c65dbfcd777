-- @noindex
-- Runs the `airband` command beside REAPER: finds, starts and ends it, and reads its output.

local folder = debug.getinfo(1, "S").source:match("^@(.*[/\\])")
local json = dofile(folder .. "airband_json.lua")

local M = {}

local function windows()
  return reaper.GetOS():match("^Win") ~= nil
end

local function contents(path)
  local file = io.open(path, "rb")
  if not file then
    return ""
  end
  local text = file:read("a")
  file:close()
  return text
end

local function write(path, text)
  local file = assert(io.open(path, "wb"), "cannot write " .. path)
  file:write(text)
  file:close()
end

-- Quotes an argument for a shell script, or for a batch file, in which percent signs are doubled.
function M.quoted(text)
  if windows() then
    return '"' .. text:gsub('"', ""):gsub("%%", "%%%%") .. '"'
  end
  return "'" .. text:gsub("'", "'\\''") .. "'"
end

-- The command: as set in the options, or where `airband daw install reaper` found it, since a DAW that was started from
-- the desktop lacks the user's PATH; or its bare name.
function M.path()
  local chosen = reaper.GetExtState("Airband", "command")
  local installed = contents(folder .. "airband-command.txt"):match("[^\r\n]+")
  return chosen ~= "" and chosen or installed or "airband"
end

-- Starts `airband` with arguments that are already quoted. Its output goes to the file `status`, followed by a final
-- line when it ends. Returns false if REAPER cannot start it.
function M.start(arguments, status)
  local line = M.quoted(M.path()) .. " " .. arguments
  if windows() then
    write(
      status .. ".cmd",
      ("@echo off\r\nchcp 65001 >nul\r\n%s > %s 2>&1\r\necho {\"what\": \"exit\"} >> %s\r\n"):format(
        line,
        M.quoted(status),
        M.quoted(status)
      )
    )
    -- /S removes only the outer quotes, even if the path contains a bracket or an ampersand
    return reaper.ExecProcess('cmd.exe /D /S /C ""' .. status .. '.cmd""', -1) ~= nil
  end
  write(
    status .. ".sh",
    ("echo $$ > %s\n%s > %s 2>&1\necho '{\"what\": \"exit\"}' >> %s\n"):format(
      M.quoted(status .. ".pid"),
      line,
      M.quoted(status),
      M.quoted(status)
    )
  )
  return reaper.ExecProcess("/bin/sh " .. M.quoted(status .. ".sh"), -1) ~= nil
end

-- Ends the process that writes `output`; false if it has not begun yet, or has ended.
function M.interrupt(status, output)
  if windows() then -- found by the output's name, which no other process has in its command line
    local name = output:match("[^/\\]+$"):gsub("[^%w._-]", "_")
    reaper.ExecProcess(
      "powershell.exe -NoProfile -Command \"Get-CimInstance Win32_Process -Filter 'CommandLine LIKE ''%"
        .. name:sub(-21)
        .. "%''' | Where-Object ProcessId -ne $PID | ForEach-Object { taskkill /T /F /PID $_.ProcessId }\"",
      -1
    )
    return true
  end
  local pid = contents(status .. ".pid"):match("%d+")
  return pid ~= nil and os.execute("pkill -TERM -P " .. pid) == true
end

function M.forget(status)
  for _, suffix in ipairs({ "", ".pid", ".sh", ".cmd" }) do
    os.remove(status .. suffix)
  end
end

-- The state from the command's output so far: share done (0 to 1), over or not, the `done` line, and an error.
function M.told(status)
  local state = { share = 0, over = false }
  local last
  for line in contents(status):gmatch("[^\r\n]+") do
    local what = line:match('"what": "(%a+)"')
    if what == "progress" then
      local step, of = json.number(line, "step") or 0, json.number(line, "of") or 1
      state.share = math.max(state.share, step / math.max(of, 1))
    elseif what == "done" then
      state.done = line
    elseif what == "failed" then
      state.error = json.text(line, "message")
    elseif what == "exit" then
      state.over = true
    elseif not what and line:match("%S") then
      last = line
    end
  end
  if state.over and not state.done then
    state.error = state.error or last or "the command ended without output"
  end
  return state
end

return M
