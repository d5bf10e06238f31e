package interop;

import java.time.Duration;
import java.util.Objects;
import java.util.concurrent.Callable;
import java.util.function.Predicate;

import org.apache.rocketmq.client.exception.MQBrokerException;
import org.apache.rocketmq.client.exception.MQClientException;

/** Assertions that say what went wrong, and bounded waits. */
public final class Check {
    private Check() {
    }

    public static final class Failed extends AssertionError {
        public Failed(String message) {
            super(message);
        }
    }

    public static void that(boolean holds, String claim, Object... args) {
        if (!holds) {
            throw new Failed("does not hold: " + String.format(claim, args));
        }
    }

    public static void equal(String what, Object expected, Object actual) {
        if (!Objects.deepEquals(expected, actual)) {
            throw new Failed(what + ": expected " + shown(expected) + ", got " + shown(actual));
        }
    }

    /** Asks {@code probe} until {@code wanted} accepts its answer, and returns that answer. An exception counts as "not yet". */
    public static <T> T eventually(Duration bound, String what, Callable<T> probe, Predicate<T> wanted) throws Exception {
        long deadline = System.nanoTime() + bound.toNanos();
        Object last;
        do {
            try {
                T answer = probe.call();
                if (wanted.test(answer)) {
                    return answer;
                }
                last = answer;
            } catch (InterruptedException e) {
                throw e;
            } catch (Exception e) {
                last = e;
            }
            Thread.sleep(10);
        } while (System.nanoTime() < deadline);
        throw new Failed(what + ": not within " + bound.toMillis() + " ms; last seen " + shown(last));
    }

    /** Holds when {@code probe} answers {@code expected} now and for the whole of {@code span}. */
    public static <T> void steady(Duration span, String what, T expected, Callable<T> probe) throws Exception {
        long end = System.nanoTime() + span.toNanos();
        do {
            equal(what, expected, probe.call());
            Thread.sleep(10);
        } while (System.nanoTime() < end);
    }

    /** The response code with which a broker or nameserver (or the client itself) refuses {@code call}. */
    public static int refused(String what, Callable<?> call) throws Exception {
        try {
            Object answer = call.call();
            throw new Failed(what + ": expected a refusal, got " + shown(answer));
        } catch (MQBrokerException e) {
            return e.getResponseCode();
        } catch (MQClientException e) {
            return e.getCause() instanceof MQBrokerException broker ? broker.getResponseCode() : e.getResponseCode();
        }
    }

    private static String shown(Object value) {
        String text = value instanceof byte[] bytes ? bytes.length + " bytes" : String.valueOf(value);
        return text.length() <= 2000 ? text : text.substring(0, 2000) + "… (" + text.length() + " characters)";
    }
}
