-- case: case of letters
SELECT id, upper(s) AS v0,
  lower(s) AS v1,
  ucase(t) AS v2,
  lcase(t) AS v3,
  initcap(s) AS v4,
  reverse(s) AS v5
FROM strings ORDER BY id

-- case: length
SELECT id, length(s) AS v0,
  char_length(s) AS v1,
  character_length(s) AS v2,
  len(s) AS v3,
  ascii(s) AS v4
FROM strings ORDER BY id

-- case: trim
SELECT id, trim(s) AS v0,
  ltrim(s) AS v1,
  rtrim(s) AS v2,
  trim(BOTH 'x' FROM s) AS v3,
  trim(LEADING 'a' FROM s) AS v4,
  trim(TRAILING 'z3' FROM s) AS v5
FROM strings ORDER BY id

-- case: substring
SELECT id, substring(s, 2, 3) AS v0,
  substr(s, 2) AS v1,
  substring(s, -3, 2) AS v2,
  substring(s, 0, 2) AS v3,
  substring(s, n, 3) AS v4,
  substring(s, n) AS v5,
  substring(s, 2, -1) AS v6,
  substring(s, -100, 3) AS v7,
  substring(s FROM 2 FOR 2) AS v8
FROM strings ORDER BY id

-- case: left and right
SELECT id, left(s, 3) AS v0,
  right(s, 3) AS v1,
  left(s, n) AS v2,
  right(s, n) AS v3,
  left(s, 0) AS v4
FROM strings ORDER BY id

-- case: pad
SELECT id, lpad(s, 6, '*') AS v0,
  rpad(s, 6, '*') AS v1,
  lpad(s, 14, 'ab') AS v2,
  rpad(s, 14) AS v3,
  lpad(s, n, 'x') AS v4,
  lpad(s, 3, '') AS v5
FROM strings ORDER BY id

-- case: concat
SELECT id, concat(s, '-', t) AS v0,
  s || t AS v1,
  concat_ws('-', s, t) AS v2,
  concat_ws(t, 'a', 'b') AS v3,
  concat(s) AS v4,
  'x' || s || 'y' AS v5
FROM strings ORDER BY id

-- case: search
SELECT id, instr(s, t) AS v0,
  locate(t, s) AS v1,
  locate(t, s, 3) AS v2,
  position(t, s) AS v3,
  position('o' IN s) AS v4,
  startswith(s, 'a') AS v5,
  endswith(s, 'z') AS v6,
  contains(s, t) AS v7,
  locate('', s) AS v8,
  instr(s, '') AS v9
FROM strings ORDER BY id

-- case: replace
SELECT id, replace(s, t, '_') AS v0,
  replace(s, 'o') AS v1,
  replace(s, '', 'x') AS v2,
  translate(s, 'abo', '12') AS v3,
  repeat(s, 2) AS v4,
  repeat(t, n) AS v5
FROM strings WHERE id <> 9 ORDER BY id

-- case: split
SELECT id, split(s, ',') AS v0,
  split(s, ' ') AS v1,
  split(s, '\\|') AS v2,
  size(split(s, ',')) AS v3,
  split_part(s, ',', 1) AS v4,
  split_part(s, ' ', -1) AS v5,
  split_part(s, ',', 9) AS v6,
  element_at(split(s, ','), 1) AS v7
FROM strings ORDER BY id

-- case: regexp
SELECT id, regexp_replace(s, '[aeiou]', '*') AS v0,
  regexp_replace(s, '([a-z])([0-9])', '$2$1') AS v1,
  regexp_extract(s, '([A-Z]+)([0-9]+)', 1) AS v2,
  regexp_extract(s, '([A-Z]+)([0-9]+)', 2) AS v3,
  regexp_extract(s, '[0-9]+', 0) AS v4,
  regexp_extract(s, '([a-z])') AS v5,
  regexp_replace(s, '\\s+', ' ') AS v6
FROM strings ORDER BY id

-- case: digests
SELECT id, md5(s) AS v0,
  sha2(s, 256) AS v1,
  sha2(s, 512) AS v2,
  crc32(s) AS v3,
  sha2(s, 0) AS v4
FROM strings ORDER BY id

-- case: empty and null
SELECT upper(NULL) AS a, concat('a', NULL) AS b, length('') AS c, concat_ws(',', NULL, 'a') AS d, substring('', 1, 1) AS e, trim('') AS f

-- case: escapes
SELECT 'a\\b' AS a, 'tab\there' AS b, 'line\n' AS c, "double" AS d

-- case: split_part of zero
SELECT split_part('a,b', ',', 0) AS v

-- case: regexp look-ahead
-- local: refused
SELECT id, s RLIKE 'a(?=b)' AS v FROM strings ORDER BY id

-- case: quote in a literal
-- local: refused
SELECT 'it''s' AS v
