-- What a text and a query are found by, as plainly as it can be said: the quick functions of migration 0014
-- must equal these.
-- Words of every script can be found. A text is cut into words here, not by a parser that depends on the
-- database's locale; each is stemmed by the language the text is in (its stop words tell: English, French,
-- Spanish, German) or by its script (Cyrillic, Arabic, Greek); scripts without spaces are cut into single
-- signs and pairs. Accents and vowel points are folded: "Café" and "cafes" meet.

-- Cuts a text into words in small letters, in their order; runs of a script without spaces stand alone.
CREATE FUNCTION plain_words(said text) RETURNS TABLE (n bigint, word text, is_run boolean)
LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT t.n, t.word,
           t.word ~ '^[\u0e00-\u0fff\u1000-\u109f\u1780-\u17ff\u2600-\u27bf\u2e80-\u2fdf\u3005-\u3007\u3021-\u3029\u3031-\u3035\u3040-\u30fa\u30fc-\ua4cf\uac00-\ud7a3\uf900-\ufaff\U0001f000-\U0001faff\U00020000-\U0003ffff]'
      FROM regexp_split_to_table(
               regexp_replace(
                   regexp_replace(
                       lower(normalize(said, NFKC)),
                       '[\u00ad\u0300-\u036f\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u0610-\u061a\u0640\u064b-\u065f\u0670\u06d6-\u06dc\u06df-\u06e4\u06e7\u06e8\u06ea-\u06ed\u200c\u200d\ufe00-\ufe0f]',
                       '', 'g'),
                   '([\u0e00-\u0fff\u1000-\u109f\u1780-\u17ff\u2600-\u27bf\u2e80-\u2fdf\u3005-\u3007\u3021-\u3029\u3031-\u3035\u3040-\u30fa\u30fc-\ua4cf\uac00-\ud7a3\uf900-\ufaff\U0001f000-\U0001faff\U00020000-\U0003ffff]+)',
                   ' \1 ', 'g'),
               '[\u0001-\u002f\u003a-\u0040\u005b-\u0060\u007b-\u00a9\u00ab-\u00b4\u00b6-\u00b9\u00bb-\u00bf\u00d7\u00f7\u02c2-\u02df\u037e\u0387\u055a-\u055f\u0589\u058a\u05be\u05c0\u05c3\u05c6\u05f3\u05f4\u060c\u061b-\u061f\u066a-\u066d\u06d4\u0964\u0965\u1362-\u1368\u2000-\u25ff\u2e00-\u2e7f\u3000-\u3004\u3008-\u3020\u3030\u303d-\u303f\u30fb\ufe10-\ufe6f\ufeff\uff01-\uff0f]+'
           ) WITH ORDINALITY AS t(word, n)
     WHERE t.word <> '';
END;

-- Tells which of four languages a text is in, by its stop words and letters; in doubt it is English.
CREATE FUNCTION plain_language(said text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT CASE WHEN es > en AND es >= fr AND es >= de THEN 'spanish'
                WHEN fr > en AND fr >= de THEN 'french'
                WHEN de > en THEN 'german'
                ELSE 'english' END
      FROM (SELECT count(*) FILTER (WHERE ts_lexize('english_stem'::regdictionary, word) = '{}') AS en,
                   count(*) FILTER (WHERE ts_lexize('french_stem'::regdictionary, word) = '{}')
                   + (said ~ '[àâçèêëîïôœùûÀÂÇÈÊËÎÏÔŒÙÛ]')::int AS fr,
                   count(*) FILTER (WHERE ts_lexize('spanish_stem'::regdictionary, word) = '{}')
                   + (said ~ '[ñÑ¿¡]')::int AS es,
                   count(*) FILTER (WHERE ts_lexize('german_stem'::regdictionary, word) = '{}')
                   + (said ~ '[äöüßÄÖÜ]')::int AS de
              FROM plain_words(said) WHERE NOT is_run) AS stop;
END;

-- Stems a word; null for a stop word. German ae, oe, ue are read as umlauts, French -ée as -é.
CREATE FUNCTION plain_stem(language text, word text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN left((CASE
    WHEN word ~ '^[\u0400-\u052f]' THEN ts_lexize('russian_stem'::regdictionary, word)
    WHEN word ~ '^[\u0600-\u06ff]' THEN ts_lexize('arabic_stem'::regdictionary, word)
    WHEN word ~ '^[\u0370-\u03ff\u1f00-\u1fff]' THEN ts_lexize('greek_stem'::regdictionary, word)
    WHEN language = 'french' THEN ts_lexize('french_stem'::regdictionary,
        regexp_replace(unaccent('unaccent'::regdictionary, word), 'ees?$', 'e'))
    WHEN language = 'spanish' THEN ts_lexize('spanish_stem'::regdictionary,
        unaccent('unaccent'::regdictionary, word))
    WHEN language = 'german' THEN ts_lexize('german_stem'::regdictionary,
        regexp_replace(unaccent('unaccent'::regdictionary, word), '([ao]|(?<![aeq])u)e', '\1', 'g'))
    ELSE ts_lexize('english_stem'::regdictionary, unaccent('unaccent'::regdictionary, word))
END)[1], 200);

-- What a fact is found by. (PL/pgSQL, here and below, keeps its plan; planning takes longer than the work.)
CREATE FUNCTION plain_lexemes(said text) RETURNS tsvector
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path FROM CURRENT AS $$
BEGIN RETURN (
    WITH words AS MATERIALIZED (SELECT n, word, is_run FROM plain_words(said)),
         spoken AS MATERIALIZED (SELECT plain_language(said) AS language)
    SELECT coalesce(string_agg('''' || replace(replace(lexeme, '\', '\\'), '''', '''''') || ''':'
                               || least(place, 16383), ' '), '')::tsvector
      FROM (SELECT n AS place, plain_stem(language, word) AS lexeme
              FROM words CROSS JOIN spoken WHERE NOT is_run
            UNION ALL
            SELECT n + i, substr(word, i, size)
              FROM words CROSS JOIN LATERAL generate_series(1, char_length(word)) AS i
             CROSS JOIN (VALUES (1), (2)) AS sizes(size)
             WHERE is_run AND i + size - 1 <= char_length(word)) AS found
     WHERE lexeme <> '');
END $$;

-- What a query's words may be found as: each term, stemmed as the query's language has it, with what it
-- would be in a fact of another language. A variant stands for one term only.
CREATE FUNCTION plain_asked(query text) RETURNS TABLE (term text, variant text)
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE ROWS 20 SET search_path FROM CURRENT AS $$
#variable_conflict use_column
BEGIN RETURN QUERY
    WITH words AS MATERIALIZED (SELECT n, word, is_run FROM plain_words(query)),
         spoken AS MATERIALIZED (SELECT plain_language(query) AS language),
         terms AS MATERIALIZED (
             SELECT n, word, plain_stem(language, word) AS term
               FROM words CROSS JOIN spoken WHERE NOT is_run)
    SELECT DISTINCT ON (found.variant) found.term, found.variant
      FROM (SELECT n, t.term, plain_stem(l.language, t.word) AS variant, l.language
              FROM terms t CROSS JOIN (VALUES ('english'), ('french'), ('german'), ('spanish')) AS l(language)
            UNION ALL
            SELECT n, t.term, t.term, '' FROM terms t
            UNION ALL
            SELECT n, pairs.sign, pairs.sign, ''
              FROM words w CROSS JOIN LATERAL (
                   SELECT substr(w.word, i, 2) AS sign
                     FROM generate_series(1, greatest(char_length(w.word) - 1, 1)) AS i) AS pairs
             WHERE w.is_run) AS found
     WHERE found.term <> '' AND found.variant <> ''
     ORDER BY found.variant, found.term <> found.variant, found.n, found.term;
END $$;

