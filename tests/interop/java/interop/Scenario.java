package interop;

import java.lang.annotation.ElementType;
import java.lang.annotation.Retention;
import java.lang.annotation.RetentionPolicy;
import java.lang.annotation.Target;

/** Marks a static method {@code name(Scene it)} as one scenario, called {@code class/method} in kebab case. */
@Retention(RetentionPolicy.RUNTIME)
@Target(ElementType.METHOD)
public @interface Scenario {
    /** The servers it runs against. */
    Setup on() default Setup.STANDARD;

    /** Run it a second time, as {@code binary/…}, in a client that writes ROCKETMQ binary headers. */
    boolean binary() default false;

    /** Longest time it may take, in seconds. */
    int seconds() default 60;
}
