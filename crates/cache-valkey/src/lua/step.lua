-- KEYS: marker, then keys. ARGV: marker, step, two more, then as many for each key as the step takes.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return redis.error_reply('NOTMARKED the marker is not there')
end

local step = ARGV[2]
local out = {}

-- ARGV[3]: ttl in ms. Each: token. Gives what stands there, or '' where the lease is now this one.
if step == 'lease' then
  for i = 2, #KEYS do
    local value = redis.call('GET', KEYS[i])
    if not value then
      redis.call('SET', KEYS[i], 'L' .. ARGV[i + 3], 'PX', ARGV[3])
      value = ''
    end
    out[i - 1] = value
  end
  return out
end

-- Each: token, row, ttl in ms. Gives 1 where the lease was turned into the row.
if step == 'fill' then
  for i = 2, #KEYS do
    local at = 5 + (i - 2) * 3
    out[i - 1] = 0
    if redis.call('GET', KEYS[i]) == 'L' .. ARGV[at] then
      redis.call('SET', KEYS[i], 'V' .. ARGV[at + 1], 'PX', ARGV[at + 2])
      out[i - 1] = 1
    end
  end
  return out
end

-- ARGV[3]: how many writes a fence may hold. Each: write (24 bytes), and one byte more where the value
-- that stands there is to be forgotten. Gives 0 where it holds that many.
for i = 2, #KEYS do
  local write = ARGV[i + 3]:sub(1, 24)
  local value = redis.call('GET', KEYS[i])
  local tag = value and value:sub(1, 1)
  out[i - 1] = 1
  if tag == 'F' then
    local count = struct.unpack('<I4', value, 2)
    local there = false
    for at = 6, 5 + count * 24, 24 do
      if value:sub(at, at + 23) == write then there = true end
    end
    if there then
      value = nil
    elseif count >= tonumber(ARGV[3]) then
      value = nil
      out[i - 1] = 0
    else
      value = 'F' .. struct.pack('<I4', count + 1) .. value:sub(6, 5 + count * 24) .. write
        .. value:sub(6 + count * 24)
    end
  elseif tag == 'V' and #ARGV[i + 3] == 24 then
    value = 'F' .. struct.pack('<I4', 1) .. write .. value:sub(2)
  else
    value = 'F' .. struct.pack('<I4', 1) .. write
  end
  -- SET without a ttl takes away the one that a VALUE or LEASE had.
  if value then redis.call('SET', KEYS[i], value) end
end
return out
