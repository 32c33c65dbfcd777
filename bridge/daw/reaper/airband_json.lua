-- @noindex
-- Reads values from the flat JSON that Airband prints and writes beside its files: one field at a time, by name.

local M = {}

local ESCAPES = { b = "\b", f = "\f", n = "\n", r = "\r", t = "\t" }

local function code_point(digits, low_digits)
  local code = tonumber(digits, 16)
  if low_digits then
    code = 0x10000 + ((code - 0xD800) << 10) + (tonumber(low_digits, 16) - 0xDC00)
  end
  return utf8.char(code)
end

local function unescaped(text)
  text = text:gsub("\\u([dD][89abAB]%x%x)\\u([dD][c-fC-F]%x%x)", code_point)
  text = text:gsub("\\(u?)(.)(%x?%x?%x?)", function(unicode, letter, digits)
    if unicode == "u" then
      return code_point(letter .. digits)
    end
    return (ESCAPES[letter] or letter) .. digits
  end)
  return text
end

-- The text of a field, or nil if it has none.
function M.text(json, name)
  local _, at = json:find('"' .. name .. '": "', 1, true)
  local from = at and at + 1
  while at do
    at = json:find('["\\]', at + 1)
    if at and json:sub(at, at) == '"' then
      return unescaped(json:sub(from, at - 1))
    end
    at = at and at + 1
  end
end

-- The number in a field, or nil if it has none.
function M.number(json, name)
  return tonumber(json:match('"' .. name .. '": (-?[%d.eE+-]+)'))
end

return M
