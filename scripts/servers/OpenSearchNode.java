import java.nio.file.Path;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import org.opensearch.common.settings.Settings;
import org.opensearch.env.Environment;
import org.opensearch.node.InternalSettingsPreparer;
import org.opensearch.node.Node;

/**
 * One OpenSearch node: `java … OpenSearchNode <home> <folder with opensearch.yml>`. The stock start class
 * refuses to run as root, as a build container does, and wants a tree that Maven does not bring.
 */
public final class OpenSearchNode {
    public static void main(String[] arguments) throws Exception {
        Settings home = Settings.builder().put(Environment.PATH_HOME_SETTING.getKey(), arguments[0]).build();
        Environment environment = InternalSettingsPreparer.prepareEnvironment(
            home, Map.of(), Path.of(arguments[1]), () -> "trivium-test");
        try {
            new Node(environment).start();
        } catch (Throwable error) {
            error.printStackTrace();
            System.exit(1);
        }
        // All of the node's threads are daemons.
        new CountDownLatch(1).await();
    }
}
