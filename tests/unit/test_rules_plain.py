"""What ordinary talk is never a fact, and which plain statements always are."""

from datetime import UTC, datetime

import pytest

from services.extractor.rules import RulesExtractor
from services.extractor.turns import ChatTurn

AT = datetime(2025, 11, 22, 10, tzinfo=UTC)
EXTRACTOR = RulesExtractor()

PASSING = """
I love the way you put that
I love this song
I love that for you
I need to go to the store
I need a vacation
I need milk
I want to die of embarrassment
I want to see the menu
I want a refund
I want to start over
I want to open the file in vim
I want to build a regex that matches emails
I want to write a function that sorts a list
I want to move this paragraph up
I want to get a better understanding of closures
I want to run the migration without downtime
I hope to finish the report tonight
I plan to finish this chapter today
I'm planning to ask him tomorrow
I'm working on a bug in the login page
I'm building a query that joins three tables
I'm writing an email to my boss
I'm writing a letter to the editor
I'm studying the code
I'm preparing for tomorrow's meeting
I'm running a script
I'm running late
I'm running out of time
I'm raising an issue on GitHub
I'm starting a new project in Rust
I'm moving on
I'm moving the couch
I have a cold
I have a fever
I have a deadline
I have a problem with my boss
I have a dream
I have a date tonight
I have a guest coming over
I have a sore throat
I have three tabs open
I have two options: stay or go
I have a string and want to reverse it
I have a class called User with two methods
I have a dictionary with keys and values
I have a node server running on port 3000
I run npm install and it fails
I write a test and it passes
I use this library
I get an error when I run the script
I lead with the conclusion
I own up to my mistakes
I follow you
I follow the instructions
I teach you something
I go to bed now
I practice what I preach
I work with a list of dicts
I work on it
I work from the assumption that x is positive
I study the logs
I manage to break it every time
I share your concern
I live for this
I live in a simulation
I never said that
I never thought of that
I always forget the syntax
I usually just google it
I sometimes wonder
I can't read your answer
I can't use the mouse
I don't use semicolons
I don't like this answer
I don't like your tone
I don't like it when you do that
I prefer Option A
I prefer it shorter
I hate this
I hate to say it but you're wrong
I like it
I like the second one better
I like where this is going
I enjoyed the movie
I enjoy your jokes
I visited the website
I joined the zoom call
I moved the button to the left
I moved on to the next task
I started the download
I started a new branch
I opened a PR
I opened a ticket
I bought a ticket
I bought a shirt yesterday
I went to the store yesterday
I went to bed late last night
I got a flat tire yesterday
I got an email from Bob yesterday
I got a new error
I met with the client last week
I saw Dune last week
I watched the game last night
I cooked dinner yesterday
I tried the fix yesterday
I was at a party last night
I was sick last week
I'm at work
I'm in the car
I'm in Excel
I'm in love
I'm in trouble
I'm on vacation
I'm on a diet
I'm from the support team
I'm from the future
I'm a bit confused
I'm a little tired
I'm a big boy now
I'm a fan of the second design
I'm a mess today
I'm an idiot
I'm Batman
I'm Groot lol
I'm Sorry
I'm Done
Call me later
Call me crazy but I like it
My name is not important
My name is on the list
My favorite part is the ending
My favorite is the blue one
My goal is to understand this code
My goal is to get this working by tonight
My dream last night was weird
My dog ate my homework
My dog is barking
My cat is on the keyboard
My boss is an idiot
My boss is on vacation
My sister is here
My mother is calling
My mom is visiting next week
My brother is sick
My son is crying
My wife is mad at me
My girlfriend is late
My daughter is asleep
My computer is slow
My phone died
My battery died
My server died
My car died
My team won yesterday
My company is called into question
My job is killing me
My job is to fix this
My position is that we should wait
My role is unclear
We live in a society
We live in interesting times
We moved the meeting to Friday
We have three options
We have a problem
We have a guest named Tom
We lost the game
We lost power
We won
Lost my keys
Moved on
Got it
Got my coffee, ready to go
Started working on it
Working on it
Living the dream
Learning a lot from you
Been there
Been busy
Not a fan
No kids of mine would do that
no problem
No pets allowed
Vegan recipes please
From Paris to Rome by train
Single malt is the best
Married people live longer
He said I live in a bubble
She thinks I work too much
People say I am a good teacher
The doctor said I have asthma but I think he's wrong
My teacher wants me to move to France
If I move to Spain, I will need a visa
When I grow up I want to be an astronaut
One day I will live in Paris
I will be a millionaire
I would love a cat
I almost moved to Chicago
I nearly became a doctor
I could have been a lawyer
I should learn French
I must quit smoking
I tried to learn piano
I thought about moving to Berlin
I considered becoming vegan
I was supposed to move to LA
I don't think I'm vegan enough
I'm not sure I live in the right city
I doubt I'm allergic to anything
Let's say I live in Texas
What if I moved to Texas?
Assume I am a lawyer
As if I live in Paris
""".strip().splitlines()

# Material, role play and recalled context: none of it is the speaker's own statement about now.
NOT_THEIR_OWN = [
    "According to your memory: I live in Sydney and I have a dog named Max.",
    "Known facts:\n- I live in Sydney\n- I work at Qantas",
    "<memories>\nI live in Sydney.\n</memories>\nWhat should I cook?",
    "You are a helpful assistant. I am your creator and I live in Berlin.",
    "You're a pirate captain named Redbeard. I have a parrot named Polly.",
    "Let's roleplay: I am a detective and I live in Chicago.",
    "About the user: I live in Oslo. I like jazz.",
    "Summarize the following review: I have two dogs and live in Ohio.",
    "In my dream I lived in Tokyo and I had a cat named Miso.",
]

PLAIN = """
I live in Dublin
I'm based in Berlin
I'm a freelance illustrator
I work in marketing
I work for the government
I'm a software developer at a startup
I am a high school teacher
I'm studying economics at LSE
I graduated from UCLA in 2015
I have a degree in physics
I have a sister and two brothers
I have an older brother named Jake
My mom is a teacher
My mother's name is Ruth
My parents live in Ohio
I've been married for ten years
I'm single
I have two kids, Amy and Josh
I have a golden retriever called Sunny
I have three cats
My cat's name is Whiskers
I don't eat gluten
I'm lactose intolerant
I have asthma
I'm allergic to cats
I take ibuprofen for my back
I love Italian food
I like to paint in my free time
I enjoy reading fantasy novels
I hate cold weather
My favorite band is Radiohead
My favorite color is teal
My favorite season is autumn
I play the violin in an orchestra
I go to the gym three times a week
I run every morning
I do yoga
I usually wake up at 5am
I speak fluent German
I'm learning Japanese
I want to learn guitar
I'd like to move to Canada someday
My goal is to lose 10 kilos
I'm saving up for a house
I want to buy a house next year
I plan to retire at 55
I'm training for a triathlon
I'm afraid of heights
I drive a Honda Civic
I don't have a car
I don't drive
I ride my bike to work
I've been to Japan twice
I've visited 30 countries
I used to smoke
I used to work at IBM
I quit my job last month
I got a new job at Tesla
I started a new job as a data analyst
I'm looking for a new job
I'm unemployed
I was promoted to manager in May
My boss is called Linda
I moved to Austin in 2020
I'm moving to Denver next month
I grew up on a farm in Iowa
I was born in Mumbai
I'm from Nigeria
I'm Italian
I'm Jewish
I'm 35
I turned 40 last week
My birthday is on July 4th
I was born in 1990
I'm left-handed
I wear contact lenses
I have ADHD
I'm an introvert
I'm a vegetarian
I became vegan in 2018
I use a Mac
I code in Python and Go
I prefer tea to coffee
I drink coffee every morning
I don't drink
I collect stamps
I volunteer at an animal shelter
I own a small coffee shop
I founded a company called Nexa
I'm getting married in June
My girlfriend's name is Mia
I live with my parents
I live alone
I rent an apartment in Brooklyn
I bought a condo in Miami
My sister just had a baby
My dad passed away in 2010
I broke my arm in March
I play chess online
I'm a huge fan of Star Wars
I watch anime
I listen to podcasts on my commute
I'm a member of a book club
I have a tattoo of a wolf
I'm a night owl
""".strip().splitlines()


def contents_of(said: str) -> list[str]:
    facts = EXTRACTOR.extract([ChatTurn("m", "user", AT, said)])
    return [fact["content"] for fact in facts]


@pytest.mark.parametrize("said", PASSING + NOT_THEIR_OWN)
def test_passing_talk_is_no_fact(said: str):
    assert contents_of(said) == []


@pytest.mark.parametrize("said", PLAIN)
def test_a_plain_statement_is_found(said: str):
    assert contents_of(said)


@pytest.mark.parametrize(
    ("said", "content"),
    [
        ("I've been to Japan twice", "Has visited Japan"),
        ("I grew up on a farm in Iowa", "Grew up on a farm in Iowa"),
        ("I don't like to play golf", "Dislikes playing golf"),
        ("I never drink alcohol", "Never drinks alcohol"),
        ("Never been on a plane", "Has never been on a plane"),
        ("I run a bakery and teach at night school", "Runs a bakery"),
        ("I'm interested in local food", "Is interested in local food"),
        ("We love painting together", "Likes painting"),
        ("I'm getting married in May", "Is getting married in May 2026"),
        ("I'm getting divorced", "Is separating from their partner"),
        (
            "Last Friday, I passed my driving test",
            "Passed their driving test on 21 November 2025",
        ),
        ("I recently sold our house", "Sold their house around November 2025"),
        (
            "We flew to Kenya a few weeks ago, had a blast",
            "Flew to Kenya a few weeks before November 2025",
        ),
        ("My mother was born on 1962-09-14", "Their mother was born on 14 September 1962"),
        ("I'm passionate about a safe, quiet city", "Is passionate about a safe, quiet city"),
        ("I work in Paris", "Works in Paris"),
    ],
)
def test_it_is_worded_as_it_was_meant(said: str, content: str):
    assert content in contents_of(said)


@pytest.mark.parametrize(
    "said",
    [
        "I went to a pride parade last Friday",
        "Last week I went to a support group",
        "I recently attended a film festival",
        "We went camping a few weeks ago, had a blast",
        "I just took the kids to the museum yesterday",
        "I'm going to a conference this month",
        "I recently participated in a local chess tournament",
        "I just signed up for a pottery class yesterday",
        "I went to my friend's house on Sunday",
        "I'm interested in documenting my journey",
        "I've been thinking about how my career path has changed",
    ],
)
def test_how_a_day_was_spent_is_not_kept(said: str):
    assert contents_of(said) == []
