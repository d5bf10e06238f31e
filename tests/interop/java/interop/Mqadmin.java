package interop;

import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;

import org.apache.rocketmq.tools.command.MQAdminStartup;

/** The official {@code mqadmin}, in this process. It reports an error as a stack trace and an exit status of 0. */
public final class Mqadmin {
    private final Scene it;

    public Mqadmin(Scene it) {
        this.it = it;
    }

    /** Standard output of the command, which must not report an error. */
    public String run(String command, String... options) {
        List<String> args = new ArrayList<>(List.of(command));
        args.addAll(List.of(options));
        args.addAll(List.of("-n", it.namesrv));
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        ByteArrayOutputStream err = new ByteArrayOutputStream();
        PrintStream outBefore = System.out;
        PrintStream errBefore = System.err;
        System.setOut(new PrintStream(out, true, StandardCharsets.UTF_8));
        System.setErr(new PrintStream(err, true, StandardCharsets.UTF_8));
        try {
            MQAdminStartup.main0(args.toArray(String[]::new), null);
        } finally {
            System.setOut(outBefore);
            System.setErr(errBefore);
        }
        String output = out.toString(StandardCharsets.UTF_8);
        String errors = err.toString(StandardCharsets.UTF_8);
        Check.that(!errors.contains("Exception") && !output.contains("Exception"), "mqadmin %s succeeds; it printed\n%s%s", args, output, errors);
        return output;
    }

    /** The command's output, which must be the same on every side. */
    public String runAlike(String command, String... options) {
        String output = run(command, options);
        it.sameOnBothSides(output);
        return output;
    }

    /** The value in a line {@code key = value} or {@code key : value}. */
    public static String value(String output, String key) {
        return output.lines().filter(line -> line.matches("\\Q" + key + "\\E\\s*[=:].*")).findFirst()
            .map(line -> line.replaceFirst("^[^=:]*[=:]\\s*", "").strip())
            .orElseThrow(() -> new Check.Failed("no line for key " + key + " in\n" + output));
    }
}
