-- case: order nulls
SELECT id, g, i FROM small ORDER BY g, i DESC, id

-- case: order nulls last
SELECT id, g FROM small ORDER BY g NULLS LAST, id DESC

-- case: order nulls first descending
SELECT id, i FROM small ORDER BY i DESC NULLS FIRST, id

-- case: order by ordinal and alias
SELECT id AS k, -id AS m FROM small ORDER BY m, 1

-- case: order specials
SELECT id, g FROM floats ORDER BY g, id

-- case: order by expression
SELECT id FROM small ORDER BY abs(i - 12), id

-- case: limit
SELECT id FROM small ORDER BY id DESC LIMIT 3

-- case: star
SELECT * FROM others ORDER BY k

-- case: star of one
SELECT o.*, s.id FROM small s JOIN others o ON s.g = o.g ORDER BY s.id, o.k

-- case: join
SELECT s.id, o.name FROM small s JOIN others o ON s.g = o.g ORDER BY s.id, o.name

-- case: left join
SELECT s.id, o.name, o.w FROM small s LEFT JOIN others o ON s.g = o.g AND o.k > 1 ORDER BY s.id, o.name

-- case: right join
SELECT s.id, o.name FROM small s RIGHT OUTER JOIN others o ON s.g = o.g ORDER BY s.id, o.name

-- case: full join
SELECT s.id, o.name FROM small s FULL JOIN others o ON s.g = o.g ORDER BY s.id, o.name

-- case: semi join
SELECT s.id FROM small s LEFT SEMI JOIN others o ON s.g = o.g ORDER BY s.id

-- case: anti join
SELECT s.id FROM small s LEFT ANTI JOIN others o ON s.g = o.g ORDER BY s.id

-- case: cross join
SELECT s.id, o.k FROM small s CROSS JOIN others o WHERE s.id < 3 ORDER BY 1, 2

-- case: join using
SELECT g, id, name FROM small JOIN others USING (g) ORDER BY id, name

-- case: left join using
SELECT g, id, name FROM small LEFT JOIN others USING (g) ORDER BY id, name

-- case: join on null-safe
SELECT s.id, o.name FROM small s JOIN others o ON s.g <=> o.g ORDER BY s.id, o.name

-- case: join ints with bigints
SELECT s.id, o.w FROM small s JOIN others o ON s.i = o.w ORDER BY s.id, o.w

-- case: join on an inequality
SELECT s.id, o.k FROM small s JOIN others o ON s.h < o.k AND s.id < 4 ORDER BY s.id, o.k

-- case: join floats
SELECT a.id, b.id AS other FROM floats a JOIN floats b ON a.g = b.g ORDER BY 1, 2

-- case: comma join
SELECT s.id, o.k FROM small s, others o WHERE s.g = o.g ORDER BY 1, 2

-- case: union all
SELECT id, i FROM small WHERE id < 3 UNION ALL SELECT k, k FROM others ORDER BY 1, 2

-- case: union
SELECT g FROM small UNION SELECT g FROM others ORDER BY 1

-- case: union widens
SELECT i AS v FROM small WHERE id < 3 UNION ALL SELECT w FROM others UNION ALL SELECT NULL ORDER BY v

-- case: union of int and double
SELECT i AS v FROM small WHERE id < 3 UNION ALL SELECT d FROM small WHERE id < 3 ORDER BY v

-- case: union of floats
SELECT g FROM floats UNION SELECT v FROM floats ORDER BY g

-- case: except
SELECT g FROM small EXCEPT SELECT g FROM others ORDER BY g

-- case: intersect
SELECT g FROM small INTERSECT SELECT g FROM others ORDER BY g

-- case: with
WITH t AS (SELECT g, sum(i) AS total FROM small GROUP BY g), u AS (SELECT g, total * 2 AS twice FROM t) SELECT t.g, total, twice FROM t JOIN u ON t.g = u.g ORDER BY t.g

-- case: subquery in from
SELECT x.g, x.n FROM (SELECT g, count(*) AS n FROM small GROUP BY g) x WHERE x.n > 2 ORDER BY x.g

-- case: in subquery
SELECT id FROM small WHERE g IN (SELECT g FROM others) ORDER BY id

-- case: not in subquery with null
SELECT id FROM small WHERE g NOT IN (SELECT g FROM others) ORDER BY id

-- case: not in subquery without null
SELECT id FROM small WHERE g NOT IN (SELECT g FROM others WHERE g IS NOT NULL) ORDER BY id

-- case: exists
SELECT id FROM small s WHERE EXISTS (SELECT 1 FROM others o WHERE o.g = s.g) ORDER BY id

-- case: not exists
SELECT id FROM small s WHERE NOT EXISTS (SELECT 1 FROM others o WHERE o.g = s.g) ORDER BY id

-- case: scalar subquery
SELECT id, i - (SELECT min(i) FROM small) AS v FROM small ORDER BY id

-- case: correlated scalar subquery
SELECT id, (SELECT max(o.k) FROM others o WHERE o.g = s.g) AS v FROM small s ORDER BY id

-- case: correlated count
SELECT id, (SELECT count(*) FROM others o WHERE o.g = s.g) AS v FROM small s ORDER BY id

-- case: names ignore case
SELECT ID AS Id, SMALL.G FROM Small WHERE g = 'a' ORDER BY iD

-- case: backquotes
SELECT `id` AS `n`, `G` FROM `small` WHERE `i` > 10 ORDER BY `n`

-- case: comments
SELECT /* inner */ id -- the id
FROM small /* nested /* twice */ */ ORDER BY id

-- case: order by ordinal of a float
SELECT d FROM small ORDER BY 1

-- case: no table
SELECT 1 AS one, 'a' AS letter, NULL IS NULL AS yes

-- case: empty result
SELECT id, g FROM small WHERE id > 100 ORDER BY id

-- case: lateral view
-- local: refused
SELECT id, x FROM lists LATERAL VIEW explode(a) y AS x

-- case: sort by
-- local: refused
SELECT id FROM small SORT BY id

-- case: qualify
-- local: refused
SELECT id FROM small QUALIFY row_number() OVER (ORDER BY id) = 1

-- case: rollup
-- local: refused
SELECT g, count(*) AS n FROM small GROUP BY ROLLUP (g)

-- case: limit without order
-- local: refused
SELECT id FROM small LIMIT 1

-- case: union of string and int
-- local: refused
SELECT g AS v FROM small UNION ALL SELECT id FROM small
