-- case: estimates
SELECT hll_sketch_estimate(hll_sketch_agg(i)) AS a, hll_sketch_estimate(hll_sketch_agg(l)) AS b, hll_sketch_estimate(hll_sketch_agg(g)) AS c, hll_sketch_estimate(hll_sketch_agg(CAST(g AS BINARY))) AS d, hll_sketch_estimate(hll_sketch_agg(id, 4)) AS e, hll_sketch_estimate(hll_sketch_agg(id, 21)) AS f FROM small

-- case: groups and filters
SELECT g, hll_sketch_estimate(hll_sketch_agg(h)) AS a, hll_sketch_estimate(hll_sketch_agg(i) FILTER (WHERE i > 10)) AS b, hll_sketch_estimate(hll_sketch_agg(l, 10)) AS c FROM small GROUP BY g ORDER BY g

-- case: texts, empty ones and nulls
SELECT hll_sketch_estimate(hll_sketch_agg(s)) AS a, hll_sketch_estimate(hll_sketch_agg(t)) AS b, hll_sketch_estimate(hll_sketch_agg(s) FILTER (WHERE s = '')) AS c FROM strings

-- case: of nothing
-- sketches
SELECT hll_sketch_estimate(hll_sketch_agg(i)) AS a, hll_sketch_estimate(hll_union_agg(CAST(g AS BINARY))) AS b, hll_union_agg(CAST(g AS BINARY)) AS c, hll_sketch_agg(i, 9) AS d FROM small WHERE id > 100

-- case: of nulls
SELECT hll_sketch_estimate(hll_sketch_agg(i)) AS a, hll_sketch_estimate(hll_union_agg(CAST(NULL AS BINARY))) AS b, hll_sketch_estimate(CAST(NULL AS BINARY)) AS c FROM small WHERE id = 8

-- case: the sketches themselves
-- sketches
SELECT g, hll_sketch_agg(id) AS a, hll_sketch_agg(l, 4) AS b, hll_sketch_agg(dt_text) AS c FROM (SELECT g, id, l, concat('v', CAST(id AS STRING)) AS dt_text FROM small) s GROUP BY g ORDER BY g

-- case: sketches of many
-- sketches
SELECT hll_sketch_agg(v, 4) AS a, hll_sketch_agg(v, 8) AS b, hll_sketch_agg(v, 10) AS c, hll_sketch_agg(concat('v', CAST(v AS STRING)), 9) AS d FROM (SELECT (a.id - 1) * 100 + (b.id - 1) * 10 + c.id AS v FROM small a CROSS JOIN small b CROSS JOIN small c) s

-- case: estimates of many
SELECT hll_sketch_estimate(hll_union(a, a)) AS a, hll_sketch_estimate(hll_union(b, b)) AS b, hll_sketch_estimate(hll_union(c, c)) AS c, hll_sketch_estimate(hll_union(d, d)) AS d, hll_sketch_estimate(hll_union(e, e)) AS e, hll_sketch_estimate(f) AS f FROM (SELECT hll_sketch_agg(v, 4) AS a, hll_sketch_agg(v, 7) AS b, hll_sketch_agg(v, 8) AS c, hll_sketch_agg(v) AS d, hll_sketch_agg(concat('v', CAST(v AS STRING)), 10) AS e, hll_sketch_agg(CAST(v AS BIGINT) * 1000000007, 15) AS f FROM (SELECT (a.id - 1) * 100 + (b.id - 1) * 10 + c.id AS v FROM small a CROSS JOIN small b CROSS JOIN small c) s) t

-- case: unions of many
-- sketches
SELECT hll_sketch_estimate(hll_union(u, u)) AS a, u AS b, hll_sketch_estimate(hll_union(w, w)) AS c FROM (SELECT hll_union_agg(a) AS u, hll_union_agg(b) AS w FROM (SELECT h, hll_sketch_agg(v, 9) AS a, hll_sketch_agg(v) AS b FROM (SELECT a.h, (a.id - 1) * 100 + (b.id - 1) * 10 + c.id AS v FROM small a CROSS JOIN small b CROSS JOIN small c) s GROUP BY h) t) x

-- case: unions of some
SELECT x.g, hll_sketch_estimate(hll_union_agg(x.s)) AS a, hll_sketch_estimate(hll_union_agg(x.s, false)) AS b, hll_sketch_estimate(hll_union_agg(CASE WHEN x.h > 1 THEN x.s END)) AS c FROM (SELECT g, h, hll_sketch_agg(id) AS s FROM small GROUP BY g, h) x GROUP BY x.g ORDER BY x.g

-- case: pairs
SELECT hll_sketch_estimate(hll_union(x.a, x.b)) AS a, hll_sketch_estimate(hll_union(x.a, x.b, true)) AS b, hll_sketch_estimate(hll_union(x.a, CAST(NULL AS BINARY))) AS c, hll_sketch_estimate(hll_union(x.a, x.c, true)) AS d FROM (SELECT g, hll_sketch_agg(id) AS a, hll_sketch_agg(i) AS b, hll_sketch_agg(l, 10) AS c FROM small GROUP BY g) x ORDER BY x.g

-- case: pairs of different sizes
SELECT hll_union(x.a, x.c) AS a FROM (SELECT hll_sketch_agg(id) AS a, hll_sketch_agg(l, 10) AS c FROM small) x

-- case: unions of different sizes
SELECT hll_union_agg(x.s) AS a FROM (SELECT hll_sketch_agg(id) AS s FROM small UNION ALL SELECT hll_sketch_agg(id, 10) AS s FROM small) x

-- case: unions of different sizes, allowed
SELECT hll_sketch_estimate(hll_union_agg(x.s, true)) AS a FROM (SELECT hll_sketch_agg(id) AS s FROM small UNION ALL SELECT hll_sketch_agg(i, 10) AS s FROM small) x

-- case: too small
SELECT hll_sketch_agg(i, 3) AS a FROM small

-- case: too large
SELECT hll_sketch_agg(i, 22) AS a FROM small

-- case: of doubles
SELECT hll_sketch_agg(d) AS a FROM small

-- case: of dates
SELECT hll_sketch_agg(dt) AS a FROM small

-- case: estimate of a text
SELECT hll_sketch_estimate(g) AS a FROM small

-- case: union of numbers
SELECT hll_union_agg(i) AS a FROM small

-- case: spoiled
SELECT hll_sketch_estimate(X'00') AS a FROM small

-- case: spoiled in a union
SELECT hll_union_agg(x.s) AS a FROM (SELECT hll_sketch_agg(id) AS s FROM small UNION ALL SELECT CAST('no sketch' AS BINARY) AS s FROM small) x

-- case: spoiled in a pair
SELECT hll_union(hll_sketch_agg(i), X'0201') AS a FROM small

-- case: spark reads what the local engine writes
-- sketches
SELECT hll_sketch_estimate(X'0201070C030C0008') AS empty, hll_union_agg(X'0201070C030C0008') AS empty_u, hll_sketch_estimate(hll_union(X'0201070C030C0008', X'0201070C030C0008')) AS empty_t, hll_sketch_estimate(X'0201070C03080508CBD7C2042BF2FB06862FF90D7581660781BC5D06') AS list, hll_union_agg(X'0201070C03080508CBD7C2042BF2FB06862FF90D7581660781BC5D06') AS list_u, hll_sketch_estimate(hll_union(X'0201070C03080508CBD7C2042BF2FB06862FF90D7581660781BC5D06', X'0201070C03080508CBD7C2042BF2FB06862FF90D7581660781BC5D06')) AS list_t, hll_sketch_estimate(X'0201070C03080508CBD7C20481BC5D062BF2FB0675816607862FF90D') AS one_list, hll_union_agg(X'0201070C03080508CBD7C20481BC5D062BF2FB0675816607862FF90D') AS one_list_u, hll_sketch_estimate(hll_union(X'0201070C03080508CBD7C20481BC5D062BF2FB0675816607862FF90D', X'0201070C03080508CBD7C20481BC5D062BF2FB0675816607862FF90D')) AS one_list_t, hll_sketch_estimate(X'0301070C050800091400000081BC5D06CEF05B1F6EC53406862FF90DDB522D04CBD7C204B05B4612AE3C8811C1E91705D216730734A2610E75816607F671F206B83FF907464AB704FC2D420A7B65E6082BF2FB06C3DD51047C74B907') AS set, hll_union_agg(X'0301070C050800091400000081BC5D06CEF05B1F6EC53406862FF90DDB522D04CBD7C204B05B4612AE3C8811C1E91705D216730734A2610E75816607F671F206B83FF907464AB704FC2D420A7B65E6082BF2FB06C3DD51047C74B907') AS set_u, hll_sketch_estimate(hll_union(X'0301070C050800091400000081BC5D06CEF05B1F6EC53406862FF90DDB522D04CBD7C204B05B4612AE3C8811C1E91705D216730734A2610E75816607F671F206B83FF907464AB704FC2D420A7B65E6082BF2FB06C3DD51047C74B907', X'0301070C050800091400000081BC5D06CEF05B1F6EC53406862FF90DDB522D04CBD7C204B05B4612AE3C8811C1E91705D216730734A2610E75816607F671F206B83FF907464AB704FC2D420A7B65E6082BF2FB06C3DD51047C74B907')) AS set_t, hll_sketch_estimate(X'0301070C0508000914000000DB522D04C3DD5104464AB704CBD7C204C1E917056EC5340681BC5D06F671F2062BF2FB0675816607D21673077C74B907B83FF9077B65E608FC2D420A862FF90D34A2610EAE3C8811B05B4612CEF05B1F') AS one_set, hll_union_agg(X'0301070C0508000914000000DB522D04C3DD5104464AB704CBD7C204C1E917056EC5340681BC5D06F671F2062BF2FB0675816607D21673077C74B907B83FF9077B65E608FC2D420A862FF90D34A2610EAE3C8811B05B4612CEF05B1F') AS one_set_u, hll_sketch_estimate(hll_union(X'0301070C0508000914000000DB522D04C3DD5104464AB704CBD7C204C1E917056EC5340681BC5D06F671F2062BF2FB0675816607D21673077C74B907B83FF9077B65E608FC2D420A862FF90D34A2610EAE3C8811B05B4612CEF05B1F', X'0301070C0508000914000000DB522D04C3DD5104464AB704CBD7C204C1E917056EC5340681BC5D06F671F2062BF2FB0675816607D21673077C74B907B83FF9077B65E608FC2D420A862FF90D34A2610EAE3C8811B05B4612CEF05B1F')) AS one_set_t, hll_sketch_estimate(X'0A0107040000000AABF2EFB89CA791400000000000A0CA3F000000000000000000000000000000000805060808070607050706060A050707') AS registers, hll_union_agg(X'0A0107040000000AABF2EFB89CA791400000000000A0CA3F000000000000000000000000000000000805060808070607050706060A050707') AS registers_u, hll_sketch_estimate(hll_union(X'0A0107040000000AABF2EFB89CA791400000000000A0CA3F000000000000000000000000000000000805060808070607050706060A050707', X'0A0107040000000AABF2EFB89CA791400000000000A0CA3F000000000000000000000000000000000805060808070607050706060A050707')) AS registers_t, hll_sketch_estimate(X'0A0107040010000A00000000000000000000000000A0CA3F000000000000000000000000000000000805060808070607050706060A050707') AS one_registers, hll_union_agg(X'0A0107040010000A00000000000000000000000000A0CA3F000000000000000000000000000000000805060808070607050706060A050707') AS one_registers_u, hll_sketch_estimate(hll_union(X'0A0107040010000A00000000000000000000000000A0CA3F000000000000000000000000000000000805060808070607050706060A050707', X'0A0107040010000A00000000000000000000000000A0CA3F000000000000000000000000000000000805060808070607050706060A050707')) AS one_registers_t FROM small

-- case: spark merges what the local engine writes with its own
SELECT hll_sketch_estimate(hll_union(hll_sketch_agg(id), X'0301070C0508000914000000DB522D04C3DD5104464AB704CBD7C204C1E917056EC5340681BC5D06F671F2062BF2FB0675816607D21673077C74B907B83FF9077B65E608FC2D420A862FF90D34A2610EAE3C8811B05B4612CEF05B1F')) AS a, hll_sketch_estimate(hll_union(hll_sketch_agg(id), X'0201070C03080508CBD7C2042BF2FB06862FF90D7581660781BC5D06')) AS b, hll_sketch_estimate(hll_union(hll_sketch_agg(id, 4), X'0A0107040010000A00000000000000000000000000A0CA3F000000000000000000000000000000000805060808070607050706060A050707')) AS c, hll_sketch_estimate(hll_union(X'0A0107040010000A00000000000000000000000000A0CA3F000000000000000000000000000000000805060808070607050706060A050707', hll_sketch_agg(i, 4))) AS d FROM small
