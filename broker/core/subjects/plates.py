"""The forms of vehicle number plates, as one pattern. Only impossible plates fail it.

Plates are normalised before: upper case, half width, and without the dot, blanks and hyphens that are printed or typed.
The forms are those of GA 36 (motor vehicles) and NY 345 (tractors). No standard is public for the armed forces and for
plates that are no longer issued, so their patterns allow whatever is seen in public use.
"""

_PROVINCE = "[京津冀晋蒙辽吉黑沪苏浙皖闽赣鲁豫鄂湘粤桂琼渝川贵云藏陕甘青宁新]"
"""One differs from the names that courts use (`court.PROVINCES`): 贵 here, 黔 there."""
_OFFICE = "[A-HJ-Z]"
"""The registering office. Police cars used to have the letter O, and some are still registered with it."""
_CHARACTER = "[0-9A-HJ-NP-Z]"

_FORMS = {
    "GA 36: private and business vehicles; six characters for new energy": f"{_PROVINCE}{_OFFICE}{_CHARACTER}{{5,6}}",
    "GA 36: trailers, driving schools, police, Hong Kong and Macao, consulates": (
        f"{_PROVINCE}{_OFFICE}{_CHARACTER}{{4}}[挂学警港澳领使]"
    ),
    "GA 36: test, oversized and temporary": f"{_PROVINCE}{_OFFICE}{_CHARACTER}{{4,5}}[试超临]",
    "GA 36: fire and rescue": f"{_PROVINCE}{_OFFICE}{_CHARACTER}{{3,5}}(?:应急|应|急)",
    "GA 36: embassies and consulates, such as 014578使 and 224012领": "[0-9]{6}[使领]",
    "older: embassies, such as 使014578": "使[0-9]{6}",
    "older: consulates, such as 沪领00123 and 领002345": f"{_PROVINCE}?{_OFFICE}?领[0-9]{{4,6}}",
    "older: other special vehicles, with their character in front of the digits": (
        f"{_PROVINCE}{_OFFICE}?[挂学警境试临]{_CHARACTER}{{4,5}}"
    ),
    "armed forces, such as VA12345": "[A-Z]{2}[0-9]{5}",
    "armed forces, such as 军A12345": "[军海空北沈兰济南广成][A-Z][0-9]{5}",
    "armed police, such as WJ京12345, WJ京1234X and WJ01-12345": (
        f"WJ(?:[0-9]{{2}}|{_PROVINCE})?{_CHARACTER}{{4,5}}[消边森水电交警通]?"
    ),
    "NY 345: tractors, with two digits for the city, such as 黑01-12345": f"{_PROVINCE}[0-9]{{2}}{_CHARACTER}{{5}}",
}
PATTERN = "|".join(_FORMS.values())
"""To be matched with the whole plate."""
