package interop;

import java.io.BufferedReader;
import java.io.File;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.net.URISyntaxException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.stream.Collectors;

/**
 * Runs scenarios and tells the runner, one line each, fields apart by tabs.
 * {@code --list} says what there is; else the arguments are names of scenarios.
 */
public final class Main {
    /** A client takes up to 3 s to end its threads; the next scenario need not wait for that. */
    private static final ExecutorService CLOSING = Executors.newCachedThreadPool();
    private static final PrintStream OUT = System.out;
    private static final BufferedReader IN = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));

    public static void main(String[] args) throws Exception {
        System.setOut(System.err);
        Map<String, Method> scenarios = scenarios();
        if (args.length == 1 && args[0].equals("--list")) {
            list(scenarios);
        } else {
            for (String name : args) {
                run(name, scenarios.get(name));
            }
        }
        OUT.flush();
        System.exit(0); // a scenario that timed out may have left threads
    }

    private static void list(Map<String, Method> scenarios) {
        for (Setup setup : Setup.values()) {
            say("setup", setup.name(), setup.nameservers, String.join("|", setup.brokerKeys));
        }
        scenarios.forEach((name, method) -> {
            Scenario scenario = method.getAnnotation(Scenario.class);
            say("scenario", name, scenario.on(), scenario.binary());
        });
    }

    private static void run(String name, Method method) {
        int seconds = method.getAnnotation(Scenario.class).seconds();
        ExecutorService executor = Executors.newSingleThreadExecutor();
        say("start", name, seconds);
        long start = System.nanoTime();
        Future<Throwable> outcome = executor.submit(() -> outcomeOf(name, method));
        String failure;
        try {
            Throwable thrown = outcome.get(seconds, TimeUnit.SECONDS);
            failure = thrown == null ? null : describe(thrown);
        } catch (TimeoutException e) {
            failure = "not done after " + seconds + " s";
        } catch (Exception e) {
            failure = describe(e);
        }
        executor.shutdownNow();
        long millis = (System.nanoTime() - start) / 1_000_000;
        if (failure == null) {
            say("pass", name, millis);
        } else {
            say("fail", name, millis, failure);
        }
    }

    private static Throwable outcomeOf(String name, Method method) {
        Scene scene = new Scene(runner(name));
        try {
            method.invoke(null, scene);
            return null;
        } catch (InvocationTargetException e) {
            return e.getCause();
        } catch (Throwable e) {
            return e;
        } finally {
            CLOSING.execute(scene::close);
        }
    }

    private static Scene.Runner runner(String name) {
        return new Scene.Runner() {
            @Override
            public void restartBroker(String signal) throws IOException {
                ask("restart", signal);
            }

            @Override
            public void exchangeBroker(String signal) throws IOException {
                ask("exchange", signal);
            }

            private void ask(String wish, String signal) throws IOException {
                say(wish, name, signal);
                Check.equal("the runner's answer to a wish", "ok", IN.readLine());
            }

            @Override
            public void nameserver(int number, boolean runs) throws IOException {
                say("nameserver", name, number, runs);
                Check.equal("the runner's answer about a nameserver", "ok", IN.readLine());
            }

            @Override
            public void output(String text) {
                say("output", name, text);
            }
        };
    }

    /** The message, and the trace as far as it is ours. */
    private static String describe(Throwable thrown) {
        StringWriter trace = new StringWriter();
        thrown.printStackTrace(new PrintWriter(trace));
        return trace.toString().lines()
            .filter(line -> !line.startsWith("\tat ") || line.contains("interop.")).filter(line -> !line.contains("interop.Main"))
            .collect(Collectors.joining("\n"));
    }

    private static synchronized void say(Object... fields) {
        OUT.println("@" + Arrays.stream(fields).map(Main::escaped).collect(Collectors.joining("\t")));
        OUT.flush();
    }

    private static String escaped(Object field) {
        return String.valueOf(field).replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r").replace("\t", "\\t");
    }

    private static Map<String, Method> scenarios() throws Exception {
        List<Method> methods = new ArrayList<>();
        for (Class<?> type : scenarioClasses()) {
            Arrays.stream(type.getDeclaredMethods()).filter(m -> m.isAnnotationPresent(Scenario.class)).forEach(methods::add);
        }
        methods.forEach(method -> method.setAccessible(true));
        return methods.stream().sorted(Comparator.comparing(Main::nameOf))
            .collect(Collectors.toMap(Main::nameOf, method -> method, (a, b) -> a, LinkedHashMap::new));
    }

    private static List<Class<?>> scenarioClasses() throws URISyntaxException, ClassNotFoundException {
        File root = new File(Main.class.getProtectionDomain().getCodeSource().getLocation().toURI());
        List<Class<?>> classes = new ArrayList<>();
        for (String file : new File(root, "interop/scenarios").list((dir, file) -> file.endsWith(".class") && !file.contains("$"))) {
            classes.add(Class.forName("interop.scenarios." + file.substring(0, file.length() - ".class".length())));
        }
        return classes;
    }

    private static String nameOf(Method method) {
        return kebab(method.getDeclaringClass().getSimpleName()) + "/" + kebab(method.getName());
    }

    private static String kebab(String camel) {
        return camel.replaceAll("(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "-").toLowerCase();
    }
}
