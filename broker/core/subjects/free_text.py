"""Whether a text that somebody wrote freely may show a subject's number, so that it must not stand anywhere in clear.

It errs on the side of caution: an ordinary text that is taken for a number is merely kept sealed.
"""

import re
import unicodedata
from functools import lru_cache

_SEPARATORS = re.compile(r"[\W_]+")  # whatever is neither letter nor digit may stand between groups of digits
_NUMBERS = re.compile(
    r"\d{9}"  # resident identities, accounts, and whatever else is counted in billions
    r"|(?<![A-Z])[A-Z]{1,3}\d{6}"  # passports, permits, identities of Hong Kong and Macao, military identities
    r"|(?=[A-Z]*\d)(?=\d*[A-Z])[A-Z\d]{15}"  # organisations' codes, and numbers of vehicles (VIN)
    r"|[\u4e00-\u9fff][A-Z](?=[A-Z\d]*\d)[A-Z\d]{5}"  # number plates
    r"|[南北沈兰成济广参政后装海空军]字第?\d{6}"  # military identities
)
_UUID = re.compile(
    r"(?!(?:-?[0-9a-f])*?(?:-?[0-9]){16})"  # no run of digits as long as that of an account or a resident identity
    r"[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}"
)
"""The usual id of a request. One in three hundred happens to have such a run, and is taken for a number."""


# Courts send the same officers and documents with thousands of requests.
@lru_cache(maxsize=8192)
def shows_number(text: str) -> bool:
    """Whether a text has something in it that looks like a subject's number, however it is typeset or grouped."""
    if _UUID.fullmatch(text):
        return False
    joined = _SEPARATORS.sub("", unicodedata.normalize("NFKC", text).upper())
    return _NUMBERS.search(joined) is not None
