"""French and Spanish: what is said in them reaches the same attributes as in English."""

import unicodedata
from datetime import UTC, datetime

import pytest

from services.extractor.languages import codes, load
from services.extractor.rules import RulesExtractor
from services.extractor.turns import ChatTurn, RawFact

AT = datetime(2025, 11, 22, 10, tzinfo=UTC)
EXTRACTOR = RulesExtractor()

FRENCH = """
J'habite à Lyon depuis 2019 | home_city=Lyon
J’habite à Genève avec ma femme Claire | home_city=Genève, partner=Claire
Je vis à Montréal | home_city=Montréal
Je m'appelle Étienne | name=Étienne
Je travaille chez Renault comme ingénieur | employer=Renault, job_title=engineer
Je travaille à la SNCF | employer=SNCF
Je suis infirmière à Marseille | job_title=nurse
Je suis née à Alger mais j'ai grandi à Toulouse | birth_place=Alger, hometown=Toulouse
J'ai déménagé à Nantes en mars | home_city=Nantes
Je vais déménager à Bordeaux en juin | future home_city=Bordeaux
Je n'habite plus à Paris | ends home_city=Paris
J'ai un chien qui s'appelle Rex | pet=Rex
Mon chien s'appelle Filou | pet=Filou
Ma fille Léa a cinq ans | child=Léa
Mon mari s'appelle Karim | partner=Karim
J'ai trois enfants | number_of_children=three
Je n'ai pas d'enfants | denies child=
Je n'ai pas d'animaux | denies pet=
Je suis végétarienne depuis trois ans | diet=vegetarian
Je suis allergique au lait et aux œufs | allergy=milk, allergy=eggs
Je ne mange pas de porc | denies habit=eat pork
Je ne bois plus de café | ends habit=drink coffee
J'adore la randonnée | likes=hiking
Je déteste les champignons | dislikes=mushrooms
Je n'aime pas le fromage | dislikes=cheese
Je préfère le thé au café | preference=tea over coffee
Je joue de la guitare | instrument=guitar
Je joue au tennis tous les samedis | sport=tennis
J'apprends l'espagnol | learning=Spanish
Je parle français, anglais et arabe | language=French, language=English, language=Arabic
Mon anniversaire est le 3 mars | birthday=3 March
Mon film préféré est Amélie | favorite_movie=Amélie
J'ai quitté Airbus l'année dernière | ends employer=Airbus
J'ai travaillé chez Orange pendant cinq ans | past employer=Orange
J'ai étudié la biologie à Grenoble | field_of_study=biology
Je suis marié avec Julie | partner=Julie, marital_status=married
Nous avons divorcé l'an dernier | ends partner=
Je suis à la retraite | employment_status=retired
Mon meilleur ami s'appelle Paul | friend=Paul
Je voudrais apprendre le piano | wants_to_learn=piano
J'ai peur des araignées | fear=spiders
Je suis française | nationality=French
Je viens de Belgique | home_country_of_origin=Belgium
Je conduis une Peugeot | vehicle=Peugeot
Je suis fatigué aujourd'hui |
Je ne sais pas quoi faire |
J'ai mal à la tête |
Je voudrais un café s'il te plaît |
Est-ce que je peux habiter à Nice avec 1000 euros ? |
Si j'habitais à Rome, je mangerais des pâtes tous les jours |
J'aime bien ta réponse |
Peux-tu traduire « J'habite à Paris » en anglais ? |
Mon ami dit qu'il habite à Berlin |
J'ai une question |
Je suis en réunion |
J'ai acheté du pain hier |
Il habite à Lyon |
""".strip().splitlines()

SPANISH = """
Vivo en Madrid desde 2018 | home_city=Madrid
Vivo en Bogotá con mi esposo Andrés | home_city=Bogotá, partner=Andrés
Me llamo José | name=José
Mi nombre es Iñaki | name=Iñaki
Soy Lucía | name=Lucía
Trabajo en Telefónica como ingeniera | employer=Telefónica, job_title=engineer
Trabajo como enfermera en Sevilla | job_title=nurse
Soy médico | job_title=doctor
Nací en Córdoba pero crecí en Málaga | birth_place=Córdoba, hometown=Málaga
Me mudé a Barcelona en marzo | home_city=Barcelona
Me voy a mudar a Valencia el próximo año | future home_city=Valencia
Ya no vivo en Lima | ends home_city=Lima
Tengo un perro que se llama Toby | pet=Toby
Mi hija Sofía tiene cinco años | child=Sofía
Mi esposa se llama Ana | partner=Ana
Tengo tres hijos | number_of_children=three
No tengo hijos | denies child=
No tengo mascotas | denies pet=
Soy vegetariana desde hace tres años | diet=vegetarian
Soy alérgico a la lactosa y al gluten | allergy=lactose, allergy=gluten
No como cerdo | denies habit=eat pork
No bebo alcohol | denies habit=drink alcohol
Ya no bebo café | ends habit=drink coffee
Me encanta el senderismo | likes=hiking
Me gustan los perros y los gatos | likes=dogs, likes=cats
Odio las setas | dislikes=mushrooms
No me gusta el queso | dislikes=cheese
Prefiero el té al café | preference=tea over coffee
Toco la guitarra | instrument=guitar
Juego al tenis todos los sábados | sport=tennis
Estoy aprendiendo japonés | learning=Japanese
Hablo español, inglés y francés | language=Spanish, language=English, language=French
Mi cumpleaños es el 3 de marzo | birthday=3 March
Mi película favorita es Roma | favorite_movie=Roma
Dejé Google el año pasado | ends employer=Google
Trabajé en Inditex durante cinco años | past employer=Inditex
Estudié biología en Granada | field_of_study=biology
Estoy casado con Julia | partner=Julia, marital_status=married
Nos divorciamos el año pasado | ends partner=
Estoy jubilado | employment_status=retired
Mi mejor amigo se llama Pablo | friend=Pablo
Quiero aprender a tocar el piano | wants_to_learn=piano
Tengo miedo a las arañas | fear=spiders
Soy mexicana | nationality=Mexican
Soy de Colombia | home_country_of_origin=Colombia
Tengo diabetes | health_condition=diabetes
Estoy cansado hoy |
No sé qué hacer |
Me duele la cabeza |
Quiero un café por favor |
¿Puedo vivir en Ibiza con 1000 euros? |
Si viviera en Roma, comería pasta todos los días |
Me gusta tu respuesta |
¿Puedes traducir "Vivo en París" al inglés? |
Mi amigo dice que vive en Berlín |
Tengo una pregunta |
Estoy en una reunión |
Compré pan ayer |
Él vive en Lyon |
""".strip().splitlines()


def facts_of(said: str) -> list[RawFact]:
    return EXTRACTOR.extract([ChatTurn("m", "user", AT, said)])


def said_in_slots(said: str) -> set[str]:
    return {_written(fact) for fact in facts_of(said)}


def _written(fact: RawFact) -> str:
    put = fact["claim"] if fact["claim"] != "holds" else fact["temporal_state"]
    told = f"{fact['slot']}={fact['value'] or ''}"
    return told if put == "current" else f"{put} {told}"


@pytest.mark.parametrize("line", FRENCH + SPANISH)
def test_a_sentence_reaches_its_attributes_and_no_other(line: str):
    said, _, expected = line.rpartition("|")
    assert said_in_slots(said.strip()) == {each.strip() for each in expected.split(",")} - {""}


@pytest.mark.parametrize("line", FRENCH[:6] + SPANISH[:6])
def test_letters_with_separate_accents_are_the_same_letters(line: str):
    said, _, expected = line.rpartition("|")
    composed = {each.strip() for each in expected.split(",")}
    assert said_in_slots(unicodedata.normalize("NFD", said.strip())) == composed


def test_times_are_read_in_each_language():
    assert facts_of("J'habite à Lyon depuis 2019")[0]["occurred_at"] == "2019"
    assert facts_of("J'ai déménagé à Nantes il y a trois ans")[0]["occurred_at"] == "2022"
    assert facts_of("Me mudé a Barcelona en marzo")[0]["occurred_at"] == "2025-03"
    assert facts_of("Soy vegetariana desde hace tres años")[0]["occurred_at"] == "2022"


def test_every_pattern_file_is_a_language_and_english_is_the_skeleton():
    assert codes()[0] == "en"
    assert {"en", "es", "fr"} <= set(codes())
    assert all(load(code).detect for code in codes() if code != "en")


def test_a_clause_meets_every_rule_it_can_fit():
    english = load("en")
    clauses = [
        "be vegan", "be at Shopify", "work as a nurse at Mercy", "start as a cook", "retire, finally",
        "retire", "join Meta as an analyst", "have twin boys, Arlo and Finn", "play the cello",
        "Move to Leeds", "love hiking", "switch jobs to working for Bosch", "speak Dutch", "zip it",
    ]  # fmt: skip
    for clause in clauses:
        fitting = [
            rule for rule in english.rules if rule.scope == "base" and rule.when.search(clause)
        ]
        assert [each for each in english.rules_of(clause) if each.when.search(clause)] == fitting
