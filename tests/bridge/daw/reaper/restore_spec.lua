-- Run by tests/bridge/daw/test_reaper.py, which sets AIRBAND_COMMAND, SCRIPTS and FOLDER and has made
-- FOLDER/clip.wav (48 kHz, 3 s, a ramp that encodes its own frame) and FOLDER/it's; a clip.wav.

local scripts, folder = os.getenv("SCRIPTS"), os.getenv("FOLDER")
local here = debug.getinfo(1, "S").source:match("^@(.*[/\\])")
local new_fake = dofile(here .. "fake_reaper.lua")

-- The frame of clip.wav that a result starts with: sample n of the clip is n / 2^18.
local function first_frame(path)
  local file = assert(io.open(path, "rb"))
  file:seek("set", 12)
  while true do
    local name, size = string.unpack("<c4I4", file:read(8))
    if name == "data" then
      local value = string.unpack("<f", file:read(4))
      file:close()
      return math.floor(value * 2 ^ 18 + 0.5), size // 4
    end
    file:seek("cur", size + size % 2)
  end
end

describe("Airband: restore item as new take", function()
  local fake

  before_each(function()
    fake = new_fake(folder)
    fake.ext["Airband/command"] = os.getenv("AIRBAND_COMMAND")
    _G.reaper, _G.gfx = fake.api, fake.gfx_api
  end)

  local function restore(options)
    dofile(scripts .. "/airband.lua").restore(options or { model = "null" })
    fake.run()
  end

  it("adds an aligned take that says what was done and keeps the settings", function()
    local item = fake.add(folder .. "/clip.wav", 1.5, 0.25)
    restore()
    assert.same({}, fake.messages)
    assert.equal(2, #item.takes)
    assert.equal(2, item.active)
    local take = item.takes[2]
    local first, frames = first_frame(take.source.path)
    assert.equal(12000, first)
    assert.equal(72000, frames)
    assert.equal(0, take.values.D_STARTOFFS)
    assert.equal(0.5, take.values.D_VOL)
    assert.equal(3, take.values.I_CHANMODE)
    assert.truthy(take.strings.P_NAME:find("^vox %(Airband, null"))
    assert.truthy(take.values.I_CUSTOMCOLOR & 0x1000000 ~= 0)
    assert.equal("vox", item.takes[1].strings.P_NAME)
    assert.equal(10, item.values.D_POSITION)
    assert.same({ "Airband: restore as new take" }, fake.undo)
    assert.equal(0, fake.depth)
    assert.equal(0, fake.refresh)
  end)

  it("keeps envelopes and effects of a take, and leaves the rest of its group alone", function()
    local item = fake.add(folder .. "/clip.wav", 1.0)
    local other = fake.add(folder .. "/clip.wav", 1.0)
    item.takes[1].envelopes, item.takes[1].effects = { Volume = { 0, 0.5 } }, { "ReaEQ" }
    other.selected, fake.grouping = false, true
    restore()
    assert.same({}, fake.messages)
    assert.equal(2, #item.takes)
    assert.same({ { Volume = { 0, 0.5 } }, { "ReaEQ" } }, { item.takes[2].envelopes, item.takes[2].effects })
    assert.equal(item.takes[2], item.takes[item.active])
    assert.equal(1, #other.takes)
    assert.is_true(fake.grouping)
    assert.is_true(item.selected and not other.selected)
  end)

  it("takes the part of the file that a play rate spans", function()
    local item = fake.add(folder .. "/clip.wav", 1.0, 0.5, 2.0)
    restore()
    local take = item.takes[2]
    local first, frames = first_frame(take.source.path)
    assert.equal(24000, first)
    assert.equal(96000, frames)
    assert.equal(2.0, take.values.D_PLAYRATE)
  end)

  it("takes the part of the file that stretch markers lead to", function()
    local item = fake.add(folder .. "/clip.wav", 1.0, 0.5)
    item.takes[1].markers = { { 0, 0.5 }, { 1, 3.0 } }
    restore()
    local take = item.takes[2]
    local first, frames = first_frame(take.source.path)
    assert.equal(24000, first)
    assert.equal(120000, frames)
    assert.equal(0, take.values.D_STARTOFFS)
    assert.same({ { 0, 0 }, { 1, 2.5 } }, take.markers)
  end)

  it("keeps the part of a sample that an offset between samples leaves", function()
    local item = fake.add(folder .. "/clip.wav", 0.5, 1000.5 / 48000)
    restore()
    local take = item.takes[2]
    assert.equal(1000, (first_frame(take.source.path)))
    assert.is_true(math.abs(take.values.D_STARTOFFS - 0.5 / 48000) < 1e-9)
  end)

  it("reverses the result of a reversed item", function()
    local item = fake.add(folder .. "/clip.wav", 1.0, 0.5)
    local file = item.takes[1].source
    item.takes[1].source = { parent = file, first = 0, length = 3, reversed = true }
    restore()
    local take = item.takes[2]
    assert.is_true(take.source.reversed)
    local first, frames = first_frame(take.source.parent.path)
    assert.equal(72000, first)
    assert.equal(48000, frames)
    assert.equal(0, take.values.D_STARTOFFS)
    assert.is_true(item.selected)
  end)

  it("renders the whole source of an item that loops it", function()
    local item = fake.add(folder .. "/clip.wav", 7.0, 1.0)
    item.values.B_LOOPSRC = 1
    restore()
    local first, frames = first_frame(item.takes[2].source.path)
    assert.equal(0, first)
    assert.equal(144000, frames)
    assert.equal(1.0, item.takes[2].values.D_STARTOFFS)
  end)

  it("restores an item whose file has the longest name there can be", function()
    local path = folder .. "/" .. ("é"):rep(125) .. ".wav"
    os.execute(("cp '%s/clip.wav' '%s'"):format(folder, path))
    local item = fake.add(path, 1.0)
    restore()
    assert.same({}, fake.messages)
    assert.equal(2, #item.takes)
    os.remove(path)
  end)

  it("restores several items in one undo block, whatever their names", function()
    local one = fake.add(folder .. "/clip.wav", 1.0, 0.0)
    local two = fake.add(folder .. "/it's; a clip.wav", 1.0, 1.0)
    restore()
    assert.equal(2, #one.takes)
    assert.equal(2, #two.takes)
    assert.equal(48000, (first_frame(two.takes[2].source.path)))
    assert.equal(1, #fake.undo)
    assert.is_true(one.selected and two.selected)
  end)

  it("leaves an item alone when the engine refuses, and says why", function()
    local item = fake.add(folder .. "/clip.wav", 1.0)
    restore({ model = "no-such-model" })
    assert.equal(1, #item.takes)
    assert.equal(0, #fake.undo)
    assert.truthy(fake.messages[1]:find("no%-such%-model"))
  end)

  it("leaves an item alone when the command is not there", function()
    fake.ext["Airband/command"] = folder .. "/nowhere/airband"
    local item = fake.add(folder .. "/clip.wav", 1.0)
    restore()
    assert.equal(1, #item.takes)
    assert.truthy(fake.messages[1]:find("not found"))
  end)

  it("cancels on Esc: no take, no file, no undo point", function()
    local item = fake.add(folder .. "/long.wav", 600)
    dofile(scripts .. "/airband.lua").restore({ model = "draft", cutoff = "4000" })
    fake.run(function(turns)
      if fake.drawn and not fake.drawn:find(" 0 %%") or turns > 400 then
        fake.key = 27
      end
    end)
    assert.equal(1, #item.takes)
    assert.equal(0, #fake.undo)
    assert.same({}, fake.messages)
    assert.equal("", io.popen("ls '" .. folder .. "' | grep long-airband"):read("a"))
  end)

  it("cancels on an Esc that comes before the command has begun", function()
    local item = fake.add(folder .. "/long.wav", 600)
    fake.key = 27
    restore({ model = "draft", cutoff = "4000" })
    assert.equal(1, #item.takes)
    assert.same({}, fake.messages)
  end)

  it("does nothing to an item that was deleted meanwhile, and says where the result is", function()
    local item = fake.add(folder .. "/clip.wav", 1.0)
    dofile(scripts .. "/airband.lua").restore({ model = "null" })
    item.deleted = true
    fake.run()
    assert.equal(1, #item.takes)
    assert.truthy(fake.messages[1]:find("clip%-airband"))
  end)

  it("asks for options, remembers them, and does nothing when dismissed", function()
    local item = fake.add(folder .. "/clip.wav", 1.0)
    local module = dofile(scripts .. "/airband.lua")
    module.ask()
    assert.equal(0, #fake.commands)
    fake.answer = "speech,null,4000,7," .. fake.ext["Airband/command"]
    dofile(scripts .. "/Airband - Restore item with options.lua")
    fake.run()
    assert.equal(2, #item.takes)
    assert.truthy(item.takes[2].strings.P_NAME:find("seed 7"))
    assert.equal("7", fake.ext["Airband/seed"])
  end)

  it("leaves to a preset what is left empty in the dialog", function()
    local preset = io.open(folder .. "/mine.toml", "w")
    preset:write('model = "null"\ncutoff = 6000\nseed = 9\n')
    preset:close()
    local item = fake.add(folder .. "/clip.wav", 1.0)
    local module = dofile(scripts .. "/airband.lua")
    fake.answer = folder .. "/mine.toml,,,," .. fake.ext["Airband/command"]
    module.ask()
    fake.run()
    assert.equal("music,,,," .. fake.ext["Airband/command"], fake.asked.defaults)
    assert.same({}, fake.messages)
    assert.equal("vox (Airband, null, seed 9, above 6000 Hz)", item.takes[2].strings.P_NAME)
  end)

  it("says what the engine said, not how it was written down", function()
    fake.ext["Airband/command"] = folder .. "/refuses"
    local command = io.open(folder .. "/refuses", "w")
    command:write([[#!/bin/sh
echo '{"what": "failed", "message": "no \\"caf\\u00e9\\" in C:\\\\Users\\nat \\ud83c\\udfb5 \\\\"}']] .. "\n")
    command:close()
    os.execute("chmod +x '" .. folder .. "/refuses'")
    fake.add(folder .. "/clip.wav", 1.0)
    restore()
    assert.truthy(fake.messages[1]:find('no "café" in C:\\Users\nat 🎵 \\', 1, true), fake.messages[1])
  end)

  it("writes a batch file on Windows, and ends what it started by its output's name", function()
    fake.os = "Win64"
    fake.ext["Airband/command"] = "C:\\Tools\\100% mine\\airband.exe"
    fake.add(folder .. "/clip.wav", 1.0)
    dofile(scripts .. "/airband.lua").restore({ seed = "7" })
    assert.truthy(fake.commands[1]:find('^cmd.exe /D /S /C ""[^"]+%.cmd""$'))
    assert.truthy(fake.scripts[1]:find('"C:\\Tools\\100%% mine\\airband.exe" render', 1, true), fake.scripts[1])
    fake.key = 27
    pcall(fake.run, function(turns)
      assert(turns < 3, "enough")
    end)
    assert.truthy(fake.commands[2]:find("taskkill"))
    assert.truthy(fake.commands[2]:find("airband%-%x+.wav"))
  end)

  it("finds the command where it was installed", function()
    local copy = folder .. "/installed scripts"
    os.execute(("mkdir -p '%s' && cp '%s'/*.lua '%s'"):format(copy, scripts, copy))
    local note = io.open(copy .. "/airband-command.txt", "w")
    note:write(os.getenv("AIRBAND_COMMAND") .. "\n")
    note:close()
    fake.ext["Airband/command"] = nil
    local item = fake.add(folder .. "/clip.wav", 1.0)
    dofile(copy .. "/airband.lua").restore({ model = "null" })
    fake.run()
    assert.equal(2, #item.takes)
  end)

  it("says so when nothing is selected or nothing is audio", function()
    restore()
    assert.truthy(fake.messages[1]:find("Select"))
    fake.add(folder .. "/clip.wav", 1.0).takes[1].midi = true
    restore()
    assert.truthy(fake.messages[2]:find("MIDI"))
    for odd, change in pairs({
      empty = function(item)
        item.takes = {}
      end,
      ["no file"] = function(item)
        item.takes[1].source = nil
      end,
      locked = function(item)
        item.values.C_LOCK = 1
      end,
      offline = function(item)
        item.takes[1].source.rate = 0
      end,
    }) do
      fake.items, fake.messages = {}, {}
      change(fake.add(folder .. "/clip.wav", 1.0))
      restore()
      assert.truthy(fake.messages[1]:find(odd, 1, true), odd .. ": " .. tostring(fake.messages[1]))
    end
    assert.equal(0, #fake.commands)
  end)
end)

describe("Airband: import takes of Airband Send", function()
  local fake, results

  local function take(name, track, frame, state)
    os.execute(("cp '%s/clip.wav' '%s/%s.wav'"):format(folder, results, name))
    local file = io.open(("%s/%s.take.json"):format(results, name), "w")
    file:write(([[{
 "file": "%s.wav",
 "rate": 48000,
 "state": "%s",
 "track": "%s",
 "transport_frame": %s
}]]):format(name, state or "delivered", track, frame))
    file:close()
  end

  before_each(function()
    fake = new_fake(folder)
    results = folder .. "/send results"
    os.execute(("rm -rf '%s' && mkdir -p '%s'"):format(results, results))
    fake.ext["Airband/send_folder"] = results
    fake.tracks = { { name = "Drums" }, { name = "Lead vox" } }
    _G.reaper, _G.gfx = fake.api, fake.gfx_api
  end)

  local function import()
    return dofile(scripts .. "/airband_takes.lua").import()
  end

  it("puts a take at its frame on its track, once, by its sidecar and not its name", function()
    take("a at 96000", "Lead vox", 72000)
    take("b", "Bass", 24000)
    take("c", "Drums", "null")
    take("d", "Drums", 48000, "failed")
    assert.equal(2, import())
    assert.equal(0, import())
    assert.equal(2, #fake.items)
    assert.equal("Lead vox", fake.items[1].track.name)
    assert.equal(1.5, fake.items[1].values.D_POSITION)
    assert.equal(3, fake.items[1].values.D_LENGTH)
    assert.equal("Bass", fake.items[2].track.name)
    assert.equal(0.5, fake.items[2].values.D_POSITION)
    assert.equal(3, #fake.tracks)
    assert.same({ "Airband: import takes of Send" }, fake.undo)
    assert.equal(0, fake.refresh)
  end)

  it("leaves damaged sidecars alone, imports the others, and names the damaged ones", function()
    for name, text in pairs({
      empty = "",
      nameless = '{ "state": "delivered", "rate": 48000, "track": "x", "transport_frame": 5 }',
      rateless = '{ "file": "a.wav", "state": "delivered", "rate": 0, "track": "x", "transport_frame": 5 }',
      elsewhere = '{ "file": "../clip.wav", "state": "delivered", "rate": 48000, "track": "x", "transport_frame": 5 }',
    }) do
      local file = io.open(("%s/%s.take.json"):format(results, name), "w")
      file:write(text)
      file:close()
    end
    take("good", "Bass", 24000)
    local count, damaged = import()
    assert.equal(1, count)
    table.sort(damaged)
    assert.same({ "elsewhere.take.json", "empty.take.json", "nameless.take.json", "rateless.take.json" }, damaged)
    dofile(scripts .. "/Airband - Import takes of Airband Send.lua")
    assert.truthy(fake.messages[1]:find("rateless.take.json", 1, true))
  end)

  it("imports takes as they come", function()
    dofile(scripts .. "/airband_takes.lua").watch()
    pcall(fake.run, function(turns)
      if turns == 2 then
        take("later", "Drums", 48000)
      end
      assert(turns < 8, "enough")
    end)
    assert.equal(1, #fake.items)
  end)
end)
