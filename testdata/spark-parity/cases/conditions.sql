-- case: compare ints
SELECT id, i = j AS v0,
  i <> j AS v1,
  i < j AS v2,
  i <= j AS v3,
  i > j AS v4,
  i >= j AS v5,
  i == 7 AS v6,
  i != 7 AS v7
FROM nums ORDER BY id

-- case: compare mixed
SELECT id, i < l AS v0,
  i < d AS v1,
  l >= d AS v2,
  p > i AS v3,
  p > d AS v4,
  f < d AS v5,
  i = 7.0 AS v6,
  p = 12.34 AS v7
FROM nums ORDER BY id

-- case: compare specials
SELECT a.id, b.id AS other, a.g = b.g AS eq, a.g < b.g AS lt, a.g >= b.g AS ge, a.g <=> b.g AS same FROM floats a CROSS JOIN floats b ORDER BY 1, 2

-- case: null-safe equal
SELECT id, i <=> j AS v0,
  i <=> NULL AS v1,
  NULL <=> NULL AS v2,
  g <=> 'a' AS v3
FROM (SELECT id, i, h AS j, g FROM small) x ORDER BY id

-- case: distinct from
SELECT id, i IS DISTINCT FROM h AS v0,
  i IS NOT DISTINCT FROM 10 AS v1
FROM small ORDER BY id

-- case: compare strings
SELECT id, s = t AS v0,
  s < t AS v1,
  s >= 'a' AS v2,
  s <> 'x' AS v3
FROM strings ORDER BY id

-- case: compare dates
SELECT id, dt = DATE '2013-01-01' AS v0,
  dt < DATE '2013-01-05' AS v1,
  t >= TIMESTAMP '2013-01-02 06:00:00' AS v2,
  t < dt AS v3,
  dt BETWEEN DATE '2013-01-02' AND DATE '2013-01-04' AS v4,
  t > TIMESTAMP '2013-01-02T06:00:00Z' AS v5
FROM small ORDER BY id

-- case: three-valued and
SELECT a.id, b.id AS other, a.b AND b.b AS v1, a.b OR b.b AS v2, NOT a.b AS v3 FROM small a CROSS JOIN small b WHERE a.id IN (1, 2, 3) AND b.id IN (1, 2, 3) ORDER BY 1, 2

-- case: null tests
SELECT id, i IS NULL AS v0,
  i IS NOT NULL AS v1,
  isnull(g) AS v2,
  isnotnull(g) AS v3,
  b IS TRUE AS v4,
  b IS NOT TRUE AS v5,
  b IS FALSE AS v6,
  b IS NOT FALSE AS v7
FROM small ORDER BY id

-- case: in
SELECT id, i IN (10, 5) AS v0,
  i IN (10, NULL) AS v1,
  i NOT IN (10, 5) AS v2,
  i NOT IN (10, NULL) AS v3,
  g IN ('a', 'b') AS v4,
  p IN (1.1, 2.2) AS v5,
  l IN (100, 5) AS v6
FROM small ORDER BY id

-- case: in floats
SELECT id, g IN (0e0, 15e-1) AS v0,
  v IN (1e0, 2e0) AS v1
FROM floats ORDER BY id

-- case: between
SELECT id, i BETWEEN 5 AND 15 AS v0,
  i NOT BETWEEN 5 AND 15 AS v1,
  d BETWEEN 1 AND 2.5 AS v2,
  g BETWEEN 'a' AND 'b' AS v3,
  i BETWEEN NULL AND 3 AS v4
FROM small ORDER BY id

-- case: like
SELECT id, s LIKE 'a%' AS v0,
  s LIKE '%o%' AS v1,
  s LIKE '_b%' AS v2,
  s NOT LIKE '%o%' AS v3,
  s LIKE 'x\\%y\\_z' AS v4,
  s LIKE '日%' AS v5,
  s LIKE '' AS v6,
  s LIKE '%' AS v7
FROM strings ORDER BY id

-- case: rlike
SELECT id, s RLIKE '^[A-Z]+' AS v0,
  s RLIKE '[0-9]{3}' AS v1,
  s RLIKE 'b.r' AS v2,
  s NOT RLIKE 'o' AS v3,
  regexp_like(s, '^[a-zA-Z0-9]+$') AS v4,
  s RLIKE '\\d+' AS v5
FROM strings ORDER BY id

-- case: case
SELECT id, CASE WHEN i > 10 THEN 'big' WHEN i > 5 THEN 'mid' ELSE 'small' END AS v0,
  CASE g WHEN 'a' THEN 1 WHEN 'b' THEN 2 END AS v1,
  CASE WHEN b THEN i ELSE d END AS v2,
  CASE WHEN b THEN 1 ELSE 2.5 END AS v3,
  CASE WHEN b THEN i ELSE l END AS v4,
  CASE WHEN b THEN NULL ELSE 'x' END AS v5
FROM small ORDER BY id

-- case: case is lazy
SELECT id, CASE WHEN i = 0 THEN 0 ELSE 100 DIV i END AS v0
FROM nums ORDER BY id

-- case: if
SELECT id, if(i > 10, 'y', 'n') AS v0,
  if(b, i, 0) AS v1,
  if(b, i, d) AS v2,
  if(NULL, 1, 2) AS v3
FROM small ORDER BY id

-- case: coalesce
SELECT id, coalesce(i, 0) AS v0,
  coalesce(i, h, -1) AS v1,
  coalesce(g, 'none') AS v2,
  coalesce(d, i) AS v3,
  nvl(i, 0) AS v4,
  ifnull(g, '?') AS v5,
  nvl2(i, 'set', 'unset') AS v6,
  nullif(i, 10) AS v7,
  nullif(g, 'a') AS v8,
  coalesce(i, 1.5) AS v9,
  coalesce(NULL, i) AS v10
FROM small ORDER BY id

-- case: greatest
SELECT id, greatest(i, j) AS v0,
  least(i, j) AS v1,
  greatest(i, l, 5) AS v2,
  least(d, i) AS v3,
  greatest(p, q) AS v4,
  greatest(i, NULL) AS v5,
  least(d, 1e0, f) AS v6
FROM nums ORDER BY id

-- case: greatest of strings and dates
SELECT id, greatest(g, 'b') AS v0,
  least(g, 'b') AS v1,
  greatest(dt, DATE '2013-01-03') AS v2,
  least(t, dt) AS v3
FROM small ORDER BY id

-- case: nan
SELECT id, isnan(d) AS v0,
  isnan(f) AS v1,
  nanvl(d, 0) AS v2,
  nanvl(d, NULL) AS v3
FROM nums ORDER BY id

-- case: where null is false
SELECT id FROM small WHERE b ORDER BY id

-- case: where not null
SELECT id FROM small WHERE NOT b ORDER BY id

-- case: string against int
-- local: refused
SELECT id FROM texts WHERE n = 12 ORDER BY id

-- case: string plus int
-- local: refused
SELECT id, n + 1 AS v FROM texts ORDER BY id
