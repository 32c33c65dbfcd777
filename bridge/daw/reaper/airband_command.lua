-- @noindex
-- The `airband` command beside REAPER: where it is, how it is started and ended, and what it says.

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

-- An argument in a shell script, or in a batch file, where a percent sign stands for itself when doubled.
function M.quoted(text)
  if windows() then
    return '"' .. text:gsub('"', ""):gsub("%%", "%%%%") .. '"'
  end
  return "'" .. text:gsub("'", "'\\''") .. "'"
end

-- The command: as set in the options, or where `airband daw install reaper` found it, for a DAW that was started from a
-- desktop has not the user's PATH; or its bare name.
function M.path()
  local chosen = reaper.GetExtState("Airband", "command")
  local installed = contents(folder .. "airband-command.txt"):match("[^\r\n]+")
  return chosen ~= "" and chosen or installed or "airband"
end

-- Starts `airband` with arguments that are quoted already; its output goes to the file `status`, and when it ends a
-- line that says so. Returns false where REAPER cannot start it.
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
    -- /S: the outer quotes go, the inner ones stay, also where a bracket or an ampersand is in the path
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

-- Ends what writes `output`; false where it has not begun yet, or has ended.
function M.interrupt(status, output)
  if windows() then -- by the output's name, which no other process has in its command line
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

-- What the command has said so far: share done (0 to 1), over or not, the `done` line, and an error.
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
    state.error = state.error or last or "the command ended without a word"
  end
  return state
end

return M
