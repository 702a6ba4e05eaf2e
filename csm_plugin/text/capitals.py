"""Words in capitals: shouting is lower-cased, acronyms that are said letter by letter are spelled."""

from __future__ import annotations

import re

_CAPITALS = re.compile(r"(?<![\w.'])([A-Z]{2,40})('?s)?(?![\w']|\.[A-Za-z])")
_CONTRACTED = re.compile(r"(?<![\w'])([A-Z]{1,12}'(?:T|S|RE|LL|VE|D|M))(?![\w'])")
_COMPANY = re.compile(r"(?<![\w&])([A-Z]{1,3})&([A-Z]{1,3})(?![\w&])")
_WORD = re.compile(r"[A-Z][A-Z']*(?![\w])")
_LONGEST_ACRONYM = 4
_SHOUTED_WORDS = 3


def _words(listed: str) -> frozenset[str]:
    return frozenset(listed.split())


_KEPT = _words(
    "AM PM OK NASA NATO RAM ROM SIM PIN ZIP GIF LAN WAN ASAP LASER AIDS UNESCO UNICEF NASDAQ COVID OPEC FIFA IKEA "
    "JPEG WIFI VIP SWAT NAFTA HIPAA OSHA FEMA SCUBA RADAR SONAR BIOS CAPTCHA FOMO YOLO LED JSON"
) - {"LED", "VIP"}
_SPELLED = _words(
    "API APIS AI USA UK EU UN IT ID TV PC CEO CTO CFO COO FAQ UI UX IP URL CPU GPU AWS ETA IOS DIY FBI CIA IRS "
    "ATM GPS PDF USB HTML HTTP HTTPS SQL DVD FYI IMO UPS USPS UCLA IEEE ASCII YMCA HDMI ESPN IMDB AARP NYU MIT "
    "NBA NFL NHL MLB UFO VIP LED EPA FDA DNA RNA HIV NAACP NCAA NYPD LAPD LGBTQ AKA EST PST CST MST EDT PDT CDT "
    "MDT GMT UTC ISBN BBC CNN NBC ABC CBS HBO BMW LLC LLM LLMS HR PR QA VPN DVR SUV IQ GDP ROI KPI SEO CRM SDK "
    "IDE OS ER ICU MRI ECG EKG IV PTO AP NHS MP RSVP BYOB ADHD PTSD ACLU IBM HP AOL MSNBC YTD EOD TBA TBD UAE "
    "USSR SOS AC DC DJ MC CD VHS XML CSS PHP IOT"
) - {"ASCII"}
_AMBIGUOUS = _words("IT US AM IN OR ME HI OH PA MA AP OS ER AC ID IV MIT")
_COMMON = _words(
    "A I ABLE ABOUT AFTER AGAIN AGO ALSO ALL AND ANY ARE AS ASK AT AWAY BACK BAD BE BED BEEN BEST BIG BOTH BOY "
    "BUS BUT BUY BY CALL CAN CAR CAT COME CUT DAD DAY DEAR DID DO DOES DOG DONE DONT DOOR DOWN EACH EASY EAT ELSE "
    "END EVEN EVER FACE FACT FAR FAST FEW FIND FINE FIRE FOR FREE FROM FULL FUN GAME GAVE GET GIVE GO GONE GOOD "
    "GOT GREAT HAD HALF HAND HARD HAS HATE HAVE HE HEAD HEAR HELP HER HERE HEY HIGH HIM HIS HOLD HOME HOPE HOT "
    "HOUR HOW HUGE HURT IDEA IF IN IS ITS JOB JUST KEEP KEY KIND KNEW KNOW LAST LATE LEFT LESS LET LIE LIFE LIKE "
    "LINE LIST LIVE LONG LOOK LOSE LOST LOT LOVE LOW MAD MADE MAIN MAKE MAN MANY MAY ME MEAN MEET MEN MIND MINE "
    "MISS MOM MORE MOST MOVE MUCH MUST MY NAME NEAR NEED NEVER NEW NEXT NICE NO NONE NOT NOW OF OFF OLD ON ONCE "
    "ONE ONLY OPEN OR OUR OUT OVER OWN PART PAST PAY PLAY PUT READ REAL RIDE RUN SAD SAFE SAID SALE SAME SAVE SAW "
    "SAY SEE SEEN SELL SEND SENT SHE SHIP SHOW SICK SIDE SIGN SIT SLOW SO SOME SOON SORT STAY STOP SUCH SUN SURE "
    "TAKE TALK TELL TEN THAN THAT THE THEM THEN THEY THIS TIME TO TOLD TOO TOOK TOP TRUE TRY TURN TWO UP USE USED "
    "VERY WAIT WAKE WALK WANT WAR WARN WAS WAY WE WEAR WEEK WELL WENT WERE WHAT WHEN WHO WHOM WHY WIFE WILL WIN "
    "WISH WITH WORD WORK YEAR YES YET YOU YOUR ZERO BABY BODY BOOK CARE CITY COLD COOL DARK DEAD DEAL EVIL FEAR "
    "FEEL FEET FOOD FOOT FOUR FIVE NINE GIRL GOD GUN HELL HERO HUNT IRON JOKE JUMP KICK KILL KISS KNEE LADY LAND "
    "LAZY LUCK MOON NEWS NOTE ONTO PAIN PASS PLAN POOR PULL PUSH RAIN RED RICH ROAD ROCK ROOM RULE SEAT SHOP SHUT "
    "SNOW SONG STAR STEP TASK TEAM TEST TEXT TREE TRIP TYPE UGLY UNTIL UPON VIEW VOTE WALL WARM WIND WINE WOW "
    "YEAH AIR ART AGE BAG BAN BAR BET BIT BOX COW CRY DRY EAR EGG EYE FAN FAT FIX FLY FOX GAS GUY HAT HIT ICE ILL "
    "INK JET JOY KID LAW LEG LIP MAP MIX MUD NOD NUT OIL PAN PEN PIE PIG POT RAT ROW SEA SEX SHY SKY TAX TEA TIE "
    "TIP TOY VAN WET YOUNG SORRY PLEASE"
)
_LIVELY = _words("HMM HM SHH PSST MMM MR MRS DR ST BRR TSK PFFT GRR NTH")


def is_shouted(text: str) -> bool:
    """Whether a text is in capitals as a whole, for effect."""
    return text.upper() == text and len(re.findall(r"[A-Z]{2,}", text)) >= _SHOUTED_WORDS


def lower_shouted(text: str) -> str:
    """Lower-case a text that is shouted as a whole, except for `I` and what is said letter by letter."""
    lowered = _WORD.sub(_lower_word, text)
    return lowered[:1].upper() + lowered[1:]


def say_capitals(text: str) -> str:
    """Lower-case what is only shouted and spell what is said letter by letter. Linear in the length.

    A word in capitals is taken as shouted if it is longer than an acronym or a common word, as letters if it cannot be
    pronounced, and as it stands otherwise. What may be either goes with its neighbours.
    """
    if "&" in text:
        text = _COMPANY.sub(lambda match: f"{' '.join(match.group(1))} and {' '.join(match.group(2))}", text)
    if "'" in text:
        text = _CONTRACTED.sub(_lower_contraction, text)
    return _CAPITALS.sub(_say_capitals, text)


def _lower_contraction(match: re.Match[str]) -> str:
    word = match.group()
    if word.endswith("'S") and word[:-2] not in _COMMON | {"IT", "THAT", "WHAT", "HERE", "THERE", "LET", "WHO"}:
        return word[:-2] + "'s"
    return f"I{word[1:].lower()}" if word.startswith("I'") else word.lower()


def _lower_word(match: re.Match[str]) -> str:
    word = match.group()
    if word == "I" or word.startswith("I'"):
        return "I" + word[1:].lower()
    kept = (word in _SPELLED and word not in _AMBIGUOUS) or (_is_unpronounceable(word) and 2 < len(word) <= 5)
    return word if kept else word.lower()


def _is_unpronounceable(word: str) -> bool:
    return not set(word) & set("AEIOUY") and word not in _LIVELY


def _say_capitals(match: re.Match[str]) -> str:
    word, ending = match.group(1), match.group(2) or ""
    if ending == "s" and (word in _COMMON or word in _KEPT):
        return match.group()
    said = _say(word, match)
    if ending and " " in said:
        return f"{said}'s"
    return said + ending


def _say(word: str, match: re.Match[str]) -> str:
    if word in _AMBIGUOUS and (word in _SPELLED or word == "US" or word in _COMMON):
        return word.lower() if word in _COMMON or _is_among_shouts(match) else " ".join(word)
    if word in _KEPT or word in _LIVELY:
        return word.lower() if word in _LIVELY and len(word) > 2 else word
    if word in _COMMON:
        return word.lower()
    if word in _SPELLED or len(word) < _LONGEST_ACRONYM:
        return " ".join(word)
    if len(word) <= _LONGEST_ACRONYM:
        return " ".join(word) if _is_unpronounceable(word) else word
    return " ".join(word) if _is_unpronounceable(word) and len(word) <= _LONGEST_ACRONYM + 1 else word.lower()


def _is_among_shouts(match: re.Match[str]) -> bool:
    """Whether a word beside this one is shouted."""
    text = match.string
    before = re.findall(r"[A-Z]{2,40}(?=[\s,.!?]{1,2}$)", text[max(0, match.start() - 42) : match.start()])
    after = re.match(r"[\s,]{1,2}([A-Z]{2,40})(?!\w)", text[match.end() : match.end() + 44])
    neighbours = [*before[-1:], *([after.group(1)] if after else [])]
    return any(near in _COMMON or (len(near) > _LONGEST_ACRONYM and near not in _SPELLED) for near in neighbours)
