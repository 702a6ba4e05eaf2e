"""Everyday English to fill templates with, and the short replies of a conversation."""


def _listed(text: str) -> tuple[str, ...]:
    return tuple(text.split("|"))


SLOTS: dict[str, tuple[str, ...]] = {
    "who": _listed(
        "my mother|my father|my sister|my brother|my neighbor|the doctor|our teacher|a friend of mine|the driver|"
        "her husband|his wife|the children|my boss|the manager|the woman next door|the old man|everybody|"
        "somebody|nobody|the nurse|a young girl|the boy|my uncle|my aunt|our cousin|the waiter|the farmer|"
        "the police officer|the baker|Anna|Peter|Maria|George|Helen|David|Susan|James|Laura|Thomas|Emily|Daniel|"
        "Sarah|Michael|Julia|Robert"
    ),
    "subject": _listed("I|you|we|they|I really|we always|they often|you never|I sometimes|we usually"),
    "verb": _listed(
        "like|need|want|bring|buy|find|watch|remember|forget|carry|clean|check|open|close|share|choose|enjoy|fix|"
        "keep|leave|lose|miss|move|pick up|sell|send|show|take|use|wash|borrow|return|order|paint|push|pull|"
        "throw|hide"
    ),
    "past": _listed(
        "liked|needed|wanted|brought|bought|found|watched|remembered|forgot|carried|cleaned|checked|opened|"
        "closed|shared|chose|enjoyed|fixed|kept|left|lost|missed|moved|picked up|sold|sent|showed me|took|used|"
        "washed|borrowed|returned|ordered|painted|dropped|broke|saw|heard about|asked for|paid for|talked about|"
        "looked at|thought about"
    ),
    "thing": _listed(
        "the keys|a cup of tea|the blue car|this book|the kitchen table|an umbrella|the newspaper|a warm coat|"
        "the phone|some bread and butter|the window|a glass of water|my bag|the letter|the garden|a new bicycle|"
        "the red shoes|some fresh fruit|the old house|a good movie|the front door|two tickets|the camera|"
        "a small boat|the answer|my glasses|the television|a chair|the box on the shelf|a piece of cake|the map|"
        "the radio|a pair of gloves|the green bottle|our dinner|the music|a present|the picture on the wall|"
        "the dog|a black cat|the money|the list|your message|a sandwich|the soup|some cheese|the lamp|"
        "a clean shirt|the computer|the cheap one|a big yellow flower"
    ),
    "place": _listed(
        "at home|in the city|at school|by the river|in the office|on the beach|at the station|in the kitchen|"
        "near the bridge|in the park|at the market|on the second floor|in the hotel|across the street|"
        "in the mountains|behind the church|at the airport|in the village|next to the bank|in the garden|"
        "under the bed|around the corner|in the hospital|at the library|on the bus|at the restaurant|"
        "in the living room|on the train|outside|downstairs"
    ),
    "time": _listed(
        "today|tomorrow|yesterday|this morning|this evening|last night|next week|last year|every day|on Monday|"
        "on Friday|at the weekend|in the afternoon|before breakfast|after work|in a few minutes|all day|"
        "right now|later|soon|an hour ago|in the summer|during the winter|at noon|at midnight|on Sunday morning|"
        "since Tuesday|until Thursday|two days ago|once a month|for a long time|in January|in the spring|"
        "before lunch|after dinner|on Wednesday"
    ),
    "adjective": _listed(
        "good|bad|big|small|happy|sad|tired|hungry|busy|quiet|loud|cold|hot|warm|clean|dirty|easy|difficult|"
        "cheap|expensive|early|late|fast|slow|strong|weak|beautiful|strange|wonderful|terrible|important|"
        "interesting|boring|dangerous|safe|funny|serious|bright|dark|empty|full|heavy|light|soft|hard|dry|wet|"
        "young|old|friendly|careful|possible|free|ready|wrong|right|famous|lucky|nervous|proud|angry|gentle|"
        "simple|sweet|fresh|useful|perfect|broken"
    ),
    "weather": _listed("raining|snowing|windy|sunny|cloudy|very cold|quite warm|foggy|getting dark|lovely outside"),
    "action": _listed(
        "go for a walk|cook dinner|read a book|play the piano|call a taxi|visit my grandmother|learn English|"
        "take the train|go swimming|write a letter|drink some coffee|wait for the bus|look for a job|"
        "listen to music|clean the house|feed the cat|sit down|stay at home|watch the game|ask a question|"
        "turn off the light|go shopping|wash the dishes|catch the last bus|see the doctor|make a cake|"
        "buy some milk|plant some trees|ride a horse|fly to London|leave early|try again|stop for a moment|"
        "explain it to me|talk to her|help him|meet them|speak more slowly|get some sleep|find a place to eat|"
        "pay the bill|open the window|change the plan|start again|tell the truth"
    ),
    "number": _listed(
        "one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen|fourteen|fifteen|sixteen|"
        "seventeen|eighteen|nineteen|twenty|twenty one|twenty five|thirty|thirty two|forty|forty six|fifty|"
        "fifty eight|sixty|seventy|seventy three|eighty|ninety|ninety nine|one hundred|two hundred and fifty|"
        "a thousand|three million"
    ),
    "things": _listed(
        "apples|days|people|minutes|books|dollars|chairs|miles|hours|letters|windows|children|eggs|rooms|"
        "questions|tickets|birds|bottles|weeks|friends|trees|pounds|horses|stairs|years|times|cups|steps|cars|"
        "pages|months|boxes"
    ),
    "because": _listed(
        "because it was late|because I was tired|when I have time|if you like|before it rains|after the meeting|"
        "so that we can rest|although it is far away|while you are waiting|unless you are busy|"
        "as soon as possible|but I am not sure|and then we went home|but nobody answered|and everybody laughed|"
        "if the weather is nice|until the shop closes|because the train was full|and it was not expensive|"
        "but I changed my mind|as far as I know|just in case"
    ),
}

TEMPLATES: tuple[str, ...] = _listed(
    "{subject} {verb} {thing}.|{subject} {verb} {thing} {time}.|{who} {past} {thing} {place}.|"
    "{who} {past} {thing}.|Did {who} {verb} {thing}?|Do you want to {action} {time}?|Would you like to {action}?|"
    "Could you please {action}?|Can we {action} {because}?|I would like to {action} {time}.|"
    "I have to {action} {because}.|Let us {action} {time}.|Let's {action}.|Why did you {verb} {thing}?|"
    "Where did {who} {verb} {thing}?|When will you {action}?|What is {place}?|It is {weather} {place}.|"
    "It was {weather} {time}.|Is it {weather} {time}?|{who} is {place} {time}.|Is {who} {place}?|"
    "{thing} is {adjective}.|{thing} was {adjective} and {adjective}.|Is {thing} {adjective}?|"
    "It is {adjective} to {action}.|It's not {adjective} at all.|This is very {adjective}.|"
    "That was a {adjective} day.|How {adjective} is {thing}?|{who} told me to {action}.|"
    "{who} wants to {action} {time}.|I think {who} is {adjective}.|I am {adjective} {time}.|"
    "We are {adjective} {because}.|There are {number} {things} {place}.|I need {number} {things}.|"
    "{number} {things}, please.|It costs {number} dollars.|It is {number} o'clock.|"
    "It takes {number} minutes to {action}.|{who} has {number} {things}.|"
    "The meeting starts at {number} {number}.|My number is {number}, {number}, {number}.|"
    "She is {number} years old.|You can {action} {place}.|You should not {action} {time}.|Don't {verb} {thing}.|"
    "Please {verb} {thing} {time}.|I will {action} {because}.|I'll {verb} {thing} for you.|"
    "I don't know where {who} is.|I can't {verb} {thing}.|We couldn't {action} {because}.|"
    "They didn't {verb} {thing}.|Have you ever wanted to {action}?|{who} has never {past} {thing}.|"
    "If you {verb} {thing}, {who} will be {adjective}.|{time}, {who} {past} {thing}.|"
    "After that, we decided to {action}.|I was going to {action}, {because}.|Excuse me, where is {thing}?|"
    "Sorry, I forgot to {action}.|Thank you, {who} is {adjective}.|Well, {subject} {verb} {thing} {because}.|"
    "Yes, {who} {past} {thing}.|No, I don't want to {action}.|Oh, that is {adjective}.|"
    "{who} and {who} {past} {thing} {time}.|Who {past} {thing}?|Which one is more {adjective}?|"
    "What do you think of {thing}?|How many {things} are there {place}?|How much is {thing}?|"
    "I haven't seen {who} {time}.|He says that {who} is {adjective}.|She asked me {number} {things} ago.|"
    "That is what {who} said {time}.|{who} looks {adjective} {time}.|I hope you {verb} {thing}.|"
    "There is {thing} {place}.|There was nobody {place} {time}.|I bought it {place} for {number} dollars.|"
    "I can hear {thing}."
)

REPLIES: tuple[str, ...] = _listed(
    "Sure.|Yes.|No.|Okay.|Of course.|Thank you.|Thanks a lot.|Hello.|Hi there.|Good morning.|Good evening.|"
    "Good night.|Goodbye.|See you soon.|See you tomorrow.|I see.|I know.|I don't know.|Maybe.|Perhaps.|Not yet.|"
    "Not really.|Exactly.|Right.|That's right.|That's fine.|That's great.|No problem.|You're welcome.|"
    "Never mind.|Excuse me.|I'm sorry.|Sorry about that.|Really?|Why?|Why not?|What?|Who?|When?|Where?|How?|"
    "How come?|Oh.|Oh no.|Oh well.|Well done.|Well.|Wait.|One moment.|Just a second.|Let me see.|Let me think.|"
    "Go on.|Go ahead.|Come in.|Sit down.|Hold on.|Help.|Stop.|Look.|Listen.|Please.|Yes, please.|No, thank you.|"
    "Absolutely.|Certainly.|Definitely.|Probably.|Not at all.|Me too.|So do I.|I think so.|I hope so.|I'm fine.|"
    "I'm ready.|All right.|Are you sure?|Are you okay?|How are you?|What's up?|What's wrong?|What happened?|"
    "Is that so?|Good idea.|Good luck.|Great.|Wonderful.|Perfect.|Amazing.|Interesting.|Fantastic.|Too bad.|"
    "What a pity.|Congratulations.|Nice to meet you.|My pleasure.|Take care.|Have a nice day.|Happy birthday.|"
    "Welcome back.|Can I help you?|Any questions?|Say that again?|Once more, please.|I understand.|I agree.|"
    "I doubt it.|Hmm.|Uh huh.|Yeah.|Nope.|Yep.|Hey.|Wow.|Fine.|Sounds good."
)
