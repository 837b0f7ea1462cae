"""Run by the Python of Amundsen's databuilder (scripts/amundsen-env): loads what `trivium tag`
wrote with its own publisher, which must create every relation, and counts what is in Neo4j then.

    amundsen_publish.py BOLT TAGGED TAG
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from databuilder.publisher.neo4j_csv_publisher import Neo4jCsvPublisher
from neo4j import GraphDatabase
from pyhocon import ConfigFactory

QUERIES = {
    "nodes": "MATCH (n) RETURN count(n)",
    "relations": "MATCH ()-[r]->() RETURN count(r)",
    "columns": "MATCH (:Table {key: $table})-[:COLUMN]->(c:Column) RETURN count(c)",
    "upstream": "MATCH (:Table {key: $table})-[:HAS_UPSTREAM]->(t) RETURN collect(t.name)",
    "owner": "MATCH (:Table {key: $table})-[:OWNER]->(u:User) RETURN collect(u.email)",
    "sql": "MATCH (:Feature)-[:GENERATION_CODE]->(c) RETURN collect(DISTINCT c.text)",
    "newest": "MATCH (w:Watermark {key: $table + '/high_watermark/'}) "
    "RETURN collect(w.partition_value)",
}


def main() -> None:
    bolt, tagged, tag = sys.argv[1], Path(sys.argv[2]).resolve(), sys.argv[3]
    publisher = Neo4jCsvPublisher()
    publisher.init(
        ConfigFactory.from_dict(
            {
                "node_files_directory": str(tagged / "nodes"),
                "relation_files_directory": str(tagged / "relationships"),
                "neo4j_endpoint": bolt,
                "neo4j_user": "neo4j",
                "neo4j_password": "",
                "neo4j_encrypted": False,
                "neo4j_relationship_creation_confirm": True,
                "job_publish_tag": tag,
            }
        )
    )
    publisher.publish()
    with GraphDatabase.driver(bolt) as driver, driver.session() as session:
        table = "trivium://lake.flights/carrier_daily_v1"
        found = {
            name: session.run(query, table=table).single()[0] for name, query in QUERIES.items()
        }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
