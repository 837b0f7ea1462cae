import org.neo4j.harness.Neo4j;
import org.neo4j.harness.Neo4jBuilders;

/** Starts an empty Neo4j on a free port, prints its address, and ends with standard input. */
public final class Neo4jServer {
    public static void main(String[] args) throws Exception {
        try (Neo4j server = Neo4jBuilders.newInProcessBuilder().build()) {
            System.out.println("bolt " + server.boltURI());
            System.out.flush();
            while (System.in.read() >= 0) {
            }
        }
    }
}
