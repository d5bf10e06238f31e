package interop;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import java.util.stream.Collectors;

/** The Rust client in a process of its own ({@code rust/member.rs}), and what it has said so far. */
public final class Member implements AutoCloseable {
    private final Process process;
    private final List<String> said = new ArrayList<>();

    /** Starts it with these arguments; {@code got} hears of every body that it receives. */
    public Member(String program, Consumer<String> got, String... arguments) throws IOException {
        List<String> command = new ArrayList<>(List.of(program));
        command.addAll(Arrays.asList(arguments));
        process = new ProcessBuilder(command).redirectError(ProcessBuilder.Redirect.INHERIT).start();
        Thread listener = new Thread(() -> listen(got));
        listener.setDaemon(true);
        listener.start();
    }

    private void listen(Consumer<String> got) {
        try (BufferedReader lines = new BufferedReader(new InputStreamReader(process.getInputStream(), StandardCharsets.UTF_8))) {
            for (String line; (line = lines.readLine()) != null; ) {
                synchronized (said) {
                    said.add(line);
                }
                if (line.startsWith("got ")) {
                    got.accept(line.substring(4));
                }
            }
        } catch (IOException e) {
            got.accept("the member cannot be heard: " + e);
        }
    }

    private List<String> said(String what) {
        synchronized (said) {
            return said.stream().filter(line -> line.startsWith(what + " ")).map(line -> line.substring(what.length() + 1)).toList();
        }
    }

    /** Bodies received, in the order in which they came. */
    public List<String> bodies() {
        return said("got");
    }

    /** Ids of the messages that it has sent. */
    public List<String> sent() {
        return said("sent");
    }

    /** Queues that it now reads. */
    public Set<Integer> queues() {
        List<String> all = said("queues");
        String last = all.isEmpty() ? "" : all.get(all.size() - 1);
        return Arrays.stream(last.split(" ")).filter(id -> !id.isEmpty()).map(Integer::valueOf).collect(Collectors.toCollection(TreeSet::new));
    }

    /** Lets it leave its group, and waits for its end. */
    @Override
    public void close() {
        try {
            process.getOutputStream().close();
            if (!process.waitFor(20, TimeUnit.SECONDS)) {
                process.destroyForcibly();
            }
        } catch (IOException | InterruptedException e) {
            process.destroyForcibly();
        }
    }
}
