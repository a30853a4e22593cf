"""Whether a text that somebody wrote freely may show a subject's number, so that it must not stand anywhere in clear.

It errs on the side of caution: an ordinary text that is taken for a number is merely kept sealed.
"""

import re
import unicodedata
from functools import lru_cache

from broker.core.subjects.request_id import is_uuid

_SEPARATORS = re.compile(r"[\s\-_.,:/·•‐‑–—]+")  # what people write between groups of digits
_NUMBERS = re.compile(
    r"\d{9}"  # resident identities, accounts, and whatever else is counted in billions
    r"|(?<![A-Z])[A-Z]{1,3}\d{6}"  # passports, permits, identities of Hong Kong and Macao, military identities
    r"|(?=[A-Z]*\d)(?=\d*[A-Z])[A-Z\d]{15}"  # organisations' codes, and numbers of vehicles (VIN)
    r"|[\u4e00-\u9fff][A-Z](?=[A-Z\d]*\d)[A-Z\d]{5}"  # number plates
    r"|[南北沈兰成济广参政后装海空军]字第?\d{6}"  # military identities
)


# Courts send the same officers and documents with thousands of requests.
@lru_cache(maxsize=8192)
def shows_number(text: str) -> bool:
    """Whether a text has something in it that looks like a subject's number, however it is typeset or grouped."""
    if is_uuid(text):
        return False
    joined = _SEPARATORS.sub("", unicodedata.normalize("NFKC", text).upper())
    return _NUMBERS.search(joined) is not None
