"""The broker compared with what a team would use instead: the same inquiries, the same mocks, one machine, one run.

* Varnish (`varnish`): one cacheable GET per inquiry, sent by wrk. The throughput of an HTTP cache in front of the
  institutions.
* Redis (`redis_mget`): one key per inquiry, read by pipelined MGET. The throughput of such a broker's cache, if the
  broker itself cost nothing.
* The straightforward broker (`straightforward`): the same contract on grpc.aio, aiohttp and Redis, with one coroutine
  per inquiry. Once with a GET per inquiry, the obvious first version, and once with all reads of one turn of the event
  loop batched into an MGET, as one would write it after a look at a profile.

The figures are answers per second on the cores of one machine, client included. All systems hold the same answers; a
sample of what each returns is recomputed from the mocks' seed. Each system has the machine to itself while it is
measured. Within a round they take turns, in the opposite order in every other round. Ratios are formed within each
round, and the median of the rounds is given, since the machine's speed drifts.

Limits of the comparison:

* Varnish and Redis do less. They check no mandate, parse no request, ask no institution, encrypt nothing, sync nothing
  to disk, and merge no reports; a system built on them would have to pay for that.
* The clients differ. wrk is written in C and does not look at the answers; Redis is sent commands encoded beforehand,
  and its replies are split in C. The brokers' client is Python, and takes a core of its own.
* A GET carries one inquiry, a batch a thousand; that is the difference in question, not a flaw of Varnish. wrk sends
  one GET at a time on each connection, as browsers and proxies do. A client that pipelined sixteen got 1.2 to 1.9
  times as many answers from Varnish; we know of no such client in use.
* Several machines, TLS, and answers larger than the mocks' (a tenth of a kilobyte on average) are not compared.
"""
