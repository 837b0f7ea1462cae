-- case: add
SELECT id, i + j AS v0,
  i + l AS v1,
  d + i AS v2,
  f + f AS v3,
  f + i AS v4,
  i + 1 AS v5,
  l + 1 AS v6
FROM nums WHERE id NOT IN (5, 6) ORDER BY id

-- case: subtract
SELECT id, i - j AS v0,
  l - i AS v1,
  i - d AS v2,
  f - f AS v3,
  i - 1 AS v4
FROM nums WHERE id NOT IN (5, 6) ORDER BY id

-- case: multiply
SELECT id, i * j AS v0,
  j * l AS v1,
  i * d AS v2,
  f * f AS v3,
  i * 2 AS v4
FROM nums WHERE id NOT IN (1, 5, 6) ORDER BY id

-- case: divide is never whole
SELECT id, i / j AS v0,
  i / 2 AS v1,
  7 / 2 AS v2,
  l / j AS v3,
  d / j AS v4,
  f / j AS v5
FROM nums ORDER BY id

-- case: divide ints by name
SELECT 7 / 2 AS a, 6 / 3 AS b, -7 / 2 AS c, 1 / 3 AS d

-- case: remainder
SELECT id, i % j AS v0,
  i % 4 AS v1,
  l % j AS v2,
  d % j AS v3,
  -7 % 3 AS v4,
  mod(i, j) AS v5
FROM nums WHERE id <> 9 ORDER BY id

-- case: whole division
SELECT id, i DIV j AS v0,
  l DIV j AS v1,
  7 DIV 2 AS v2,
  -7 DIV 2 AS v3
FROM nums WHERE id <> 6 ORDER BY id

-- case: pmod
SELECT id, pmod(i, j) AS v0,
  pmod(l, j) AS v1,
  pmod(d, 3) AS v2,
  pmod(-7, 3) AS v3,
  pmod(7, -3) AS v4
FROM nums WHERE id <> 9 ORDER BY id

-- case: negate
SELECT id, -i AS v0,
  -l AS v1,
  -d AS v2,
  -p AS v3,
  negative(i) AS v4,
  -f AS v5
FROM nums WHERE id NOT IN (5, 6) ORDER BY id

-- case: abs
SELECT id, abs(i) AS v0,
  abs(l) AS v1,
  abs(d) AS v2,
  abs(p) AS v3,
  abs(f) AS v4
FROM nums WHERE id NOT IN (5, 6) ORDER BY id

-- case: add overflows int
SELECT i + 1 AS v FROM nums WHERE id = 5

-- case: add overflows bigint
SELECT l + 1 AS v FROM nums WHERE id = 5

-- case: subtract overflows
SELECT i - 1 AS v FROM nums WHERE id = 6

-- case: multiply overflows
SELECT i * 2 AS v FROM nums WHERE id = 5

-- case: negate overflows
SELECT -i AS v FROM nums WHERE id = 6

-- case: abs overflows
SELECT abs(l) AS v FROM nums WHERE id = 6

-- case: divide by zero
SELECT j / i AS v FROM nums WHERE id = 3

-- case: divide by zero double
SELECT d / i AS v FROM nums WHERE id = 3

-- case: divide by zero decimal
SELECT p / i AS v FROM nums WHERE id = 3

-- case: remainder of zero
SELECT j % i AS v FROM nums WHERE id = 3

-- case: whole division by zero
SELECT j DIV i AS v FROM nums WHERE id = 3

-- case: whole division overflows
SELECT l DIV -1 AS v FROM nums WHERE id = 6

-- case: remainder by minus one
SELECT l % -1 AS v FROM nums WHERE id = 6

-- case: divide guarded by nullif
SELECT id, j / nullif(i, 0) AS v0,
  CASE WHEN i <> 0 THEN j / i END AS v1,
  if(i = 0, 0, j / i) AS v2
FROM nums ORDER BY id

-- case: decimal add
SELECT id, p + q AS v0,
  p + i AS v1,
  p + 1 AS v2,
  p - q AS v3,
  p - l AS v4,
  p + 1.5 AS v5
FROM nums WHERE id NOT IN (5, 6) AND id <> 1 ORDER BY id

-- case: decimal multiply
SELECT id, p * q AS v0,
  p * 2 AS v1,
  p * 1.05 AS v2,
  q * q AS v3
FROM nums ORDER BY id

-- case: decimal divide
SELECT id, p / q AS v0,
  p / 3 AS v1,
  p / j AS v2,
  1.00 / 3.00 AS v3,
  2 / 3.0 AS v4
FROM nums ORDER BY id

-- case: decimal remainder
SELECT id, p % q AS v0,
  p % 3 AS v1
FROM nums ORDER BY id

-- case: decimal and double
SELECT id, p + d AS v0,
  p * d AS v1,
  p / 2e0 AS v2
FROM nums WHERE id <> 5 ORDER BY id

-- case: decimal literals
SELECT 1.5 AS a, 0.05 AS b, 1.50 AS c, 123.456 AS d, -0.5 AS e, 1.5 + 1 AS f, 10 * 0.1 AS g, 00.10 AS h

-- case: whole literals
SELECT 1 AS a, 2147483647 AS b, 2147483648 AS c, -2147483648 AS d, 5L AS e, 1e3 AS f, -2.5e-3 AS g

-- case: precedence
SELECT 2 + 3 * 4 AS a, (2 + 3) * 4 AS b, 10 - 4 - 3 AS c, 2 * 3 % 4 AS d, -2 + 5 AS e, NOT 1 = 2 AS f, 1 < 2 AND 2 < 3 OR false AS g

-- case: double specials
SELECT id, d + 1 AS v0,
  d * 0 AS v1,
  d - d AS v2,
  d / 2 AS v3
FROM nums ORDER BY id
