-- The script of wrk in benchmarks/baselines/varnish.py: gets paths drawn from a file, the same ones in every run.
-- Arguments: the file, the seed. The last line printed is JSON.

local threads = 0

function setup(thread)
  threads = threads + 1
  thread:set("number", threads)
end

function init(arguments)
  requests = {}
  for path in io.lines(arguments[1]) do
    requests[#requests + 1] = wrk.format("GET", path)
  end
  count = #requests
  -- Each thread draws a sequence of its own.
  math.randomseed(tonumber(arguments[2]) * 1000 + number)
  random = math.random
end

function request()
  return requests[random(count)]
end

function done(summary, latency, _)
  local errors = summary.errors
  print(string.format(
    '{"requests": %d, "seconds": %.6f, "errors": %d}',
    summary.requests, summary.duration / 1e6,
    errors.connect + errors.read + errors.write + errors.status + errors.timeout
  ))
end
