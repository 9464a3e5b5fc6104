-- Takes calls out of one shared bucket, by the server's own clock (GCRA).
--
-- The bucket is one moment, TAT: when it will be full. A call moves it on by one interval, and is
-- admitted while TAT stays within `burst` intervals from now. Moments and intervals are whole
-- microseconds and parts of one, `per` parts to a microsecond: all numbers are whole and below
-- 2^53, so that a double holds them and a third of a second is a third.
--
-- KEYS[1]: the bucket, "<whole> <part> <time of the last write>".
-- ARGV: interval (whole, part), per, burst, least, most, floor (whole, part), longest TAT from now.
-- Answer: how many calls are granted, now, TAT (whole, part).
local whole, part, per = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local burst, least, most = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])

local function cost(calls)
  local parts = calls * part
  local rest = parts % per
  return calls * whole + (parts - rest) / per, rest
end

local function add(w, p, dw, dp)
  if p + dp >= per then return w + dw + 1, p + dp - per end
  return w + dw, p + dp
end

local function later(w, p, w2, p2)
  return w > w2 or (w == w2 and p > p2)
end

local tat, tat_part = now, 0
local changed = false

-- What stands there and is no bucket is overwritten.
local found = redis.pcall('GET', KEYS[1])
if type(found) == 'string' then
  local w, p, written = string.match(found, '^(%d+) (%d+) (%d+)$')
  if w then
    w, p, written = tonumber(w), tonumber(p) % per, tonumber(written)
    if w - written <= tonumber(ARGV[9]) then
      if now < written then
        -- The server's clock stepped back: the bucket steps back with it.
        w, changed = w - (written - now), true
      end
      if later(w, p, tat, tat_part) then tat, tat_part = w, p end
    end
  end
end

local full, full_part = add(now, 0, cost(burst))

-- What the caller has seen and this server has not, after a restart that forgot.
local floor, floor_part = tonumber(ARGV[7]), tonumber(ARGV[8])
if later(floor, floor_part, full, full_part) then floor, floor_part = full, full_part end
if later(floor, floor_part, tat, tat_part) then
  tat, tat_part, changed = floor, floor_part, true
end

local free, free_part = full - tat, full_part - tat_part
if free_part < 0 then free, free_part = free - 1, free_part + per end

local function fits(calls)
  local w, p = cost(calls)
  return not later(w, p, free, free_part)
end

local granted = most
if not fits(most) then
  -- An estimate, and then to the call.
  granted = math.floor((free + free_part / per) / (whole + part / per))
  granted = math.max(0, math.min(granted, most - 1))
  while granted > 0 and not fits(granted) do granted = granted - 1 end
  while fits(granted + 1) do granted = granted + 1 end
  if granted < least then granted = 0 end
end

if granted > 0 then
  tat, tat_part = add(tat, tat_part, cost(granted))
  changed = true
end
if changed then
  local value = string.format('%.0f %.0f %.0f', tat, tat_part, now)
  local expiry = math.max(1, math.ceil((tat + 1 - now) / 1000))
  redis.call('SET', KEYS[1], value, 'PX', string.format('%.0f', expiry))
end
return { granted, now, tat, tat_part }
