-- Counts one request against several limits by Redis' own clock: all of them, or (when one has no room)
-- none. The same rule as services/gateway/gcra.py, which says what the numbers mean; a test compares them.
--
-- KEYS: a bucket per limit. ARGV: interval and tolerance per limit, in microseconds.
-- Returns 1 or 0 (passed or not), then what each bucket holds with this request, in microseconds.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local answer = {1}
for i, bucket in ipairs(KEYS) do
    local interval, tolerance = tonumber(ARGV[2 * i - 1]), tonumber(ARGV[2 * i])
    local full_at = tonumber(redis.call('GET', bucket) or '0')
    local held = math.min(math.max(full_at - now, 0), tolerance) + interval
    if held > tolerance then
        answer[1] = 0
    end
    answer[i + 1] = held
end
if answer[1] == 1 then
    for i, bucket in ipairs(KEYS) do
        local held = answer[i + 1]
        redis.call('SET', bucket, string.format('%.0f', now + held), 'PX', math.ceil(held / 1000))
    end
end
return answer
