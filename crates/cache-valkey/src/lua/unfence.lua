-- KEYS: marker, then keys. ARGV: marker, then for each key: write (24 bytes), row seen or '', ttl in ms.
-- Gives 1 where the write was in the fence.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return redis.error_reply('NOTMARKED the marker is not there')
end

-- A row's rev: 8 bytes, little-endian, after 24. In halves: a number of Lua holds 53 bits. (Comparing
-- bytes as strings would depend on the server's locale.)
local function newer(row, other)
  if row == '' then return other end
  if other == '' then return row end
  local low, high = struct.unpack('<I4I4', row, 25)
  local other_low, other_high = struct.unpack('<I4I4', other, 25)
  if high > other_high or (high == other_high and low > other_low) then return row end
  return other
end

local out = {}
for i = 2, #KEYS do
  local at = 2 + (i - 2) * 3
  local write, row, ttl = ARGV[at], ARGV[at + 1], ARGV[at + 2]
  local value = redis.call('GET', KEYS[i])
  out[i - 1] = 0
  if value and value:sub(1, 1) == 'F' then
    local count = struct.unpack('<I4', value, 2)
    local rest, there = '', false
    for from = 6, 5 + count * 24, 24 do
      local one = value:sub(from, from + 23)
      if one == write then there = true else rest = rest .. one end
    end
    if there then
      out[i - 1] = 1
      local newest = newer(row, value:sub(6 + count * 24))
      if rest ~= '' then
        redis.call('SET', KEYS[i], 'F' .. struct.pack('<I4', #rest / 24) .. rest .. newest)
      elseif newest ~= '' then
        redis.call('SET', KEYS[i], 'V' .. newest, 'PX', ttl)
      else
        redis.call('DEL', KEYS[i])
      end
    end
  end
end
return out
