-- case: round
SELECT id, round(d) AS v0,
  round(d, 1) AS v1,
  round(p) AS v2,
  round(p, 1) AS v3,
  round(i) AS v4,
  round(i, -1) AS v5,
  round(q, 2) AS v6,
  round(p, -1) AS v7,
  round(f, 1) AS v8,
  round(j, -1) AS v9
FROM nums WHERE id NOT IN (5, 6) ORDER BY id

-- case: round halves
SELECT round(0.5) AS a, round(1.5) AS b, round(2.5) AS c, round(-2.5) AS d, round(2.5e0) AS e, round(-0.5e0) AS f, round(1.005e0, 2) AS g, round(2.675e0, 2) AS h, round(1234.567, -2) AS i, round(0.285e0, 2) AS j, round(5e-1) AS k

-- case: bround
SELECT bround(0.5) AS a, bround(1.5) AS b, bround(2.5) AS c, bround(-2.5) AS d, bround(2.5e0) AS e, bround(3.5e0) AS f, bround(25, -1) AS g, bround(35, -1) AS h, bround(1.25, 1) AS i, bround(NULL) AS j

-- case: ceil and floor
SELECT id, ceil(d) AS v0,
  floor(d) AS v1,
  ceil(p) AS v2,
  floor(p) AS v3,
  ceiling(q) AS v4,
  floor(i) AS v5,
  ceil(l) AS v6,
  floor(f) AS v7
FROM nums ORDER BY id

-- case: powers
-- close
SELECT id, sqrt(d) AS v0,
  pow(i, 2) AS v1,
  power(d, 0.5) AS v2,
  exp(i) AS v3,
  pow(2, j) AS v4,
  sqrt(i) AS v5
FROM nums WHERE id <> 6 ORDER BY id

-- case: logarithms
-- close
SELECT id, ln(d) AS v0,
  log10(l) AS v1,
  log2(i) AS v2,
  log1p(d) AS v3,
  ln(i) AS v4,
  log(d) AS v5
FROM nums ORDER BY id

-- case: sign
SELECT id, sign(i) AS v0,
  signum(d) AS v1,
  sign(l) AS v2,
  sign(p) AS v3
FROM nums ORDER BY id

-- case: angles
-- close
SELECT id, degrees(d) AS v0,
  radians(d) AS v1,
  sin(d) AS v2,
  cos(d) AS v3,
  tan(d) AS v4,
  atan(d) AS v5,
  atan2(d, i) AS v6
FROM nums WHERE id <> 5 ORDER BY id

-- case: round overflows
SELECT round(i, -1) AS v FROM nums WHERE id = 5

-- case: round floats of four bytes
SELECT round(CAST(0.35 AS FLOAT), 1) AS a, round(CAST(1.15 AS FLOAT), 1) AS b, bround(CAST(0.25 AS FLOAT), 1) AS c, bround(CAST(0.35 AS FLOAT), 1) AS d
