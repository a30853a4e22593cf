"""The broker against what a team would use instead: the same inquiries, the same mocks, one machine, one run.

* Varnish (`varnish`): one cacheable GET per inquiry, driven by wrk. What an HTTP cache in front of the institutions
  would carry.
* Redis (`redis_mget`): one key per inquiry, read by pipelined MGET. What the store of such a broker would carry if the
  broker itself cost nothing.
* The straightforward broker (`straightforward`): the same contract on grpc.aio, aiohttp and Redis, one coroutine per
  inquiry. Once with a GET per inquiry, as it is written first, and once with the reads of a moment gathered into one
  MGET, as it is written after a look at a profile.

What the comparison shows: how many answers per second each hands out on the cores of one machine, client included. All
hold the same answers; a sample of what each says is recomputed from the mocks' seed. Each contender has the machine to
itself while it is measured. Within a round they take turns, in the opposite order in every other round; ratios are
formed within each round, and the median of the rounds is given, since the machine's speed drifts.

What it does not show:

* Varnish and Redis do less. They check no mandate and no purpose, read no request, ask nobody, encrypt nothing, sync
  nothing to disk, and report on no inquiry but the one asked for; whatever they were put into would pay for that.
* The clients differ. wrk is written in C and does not look at the answers; Redis is asked with commands encoded
  beforehand, and its replies are split in C. The brokers' client is Python, which takes a core of its own.
* A GET carries one inquiry and a batch a thousand; that is the difference in question, not a flaw of Varnish. wrk sends
  one GET at a time on each connection, as browsers and proxies do. A client that pipelined sixteen got 1.2 to 1.9
  times as many answers out of Varnish; we know of none that does.
* Several machines, TLS, and answers larger than the mocks' (a tenth of a kilobyte on average) are not compared.
"""
