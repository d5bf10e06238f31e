import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.apache.rocketmq.filter.expression.EvaluationContext;
import org.apache.rocketmq.filter.expression.Expression;
import org.apache.rocketmq.filter.expression.MQFilterException;
import org.apache.rocketmq.filter.parser.SelectorParser;

/** Prints what RocketMQ's own SQL92 filter says of expressions and rows; see README.md. */
class Oracle {
    static final Random RANDOM = new Random(92);

    /** No value is empty: a message's property text cannot carry one. */
    static final List<Map<String, String>> ROWS = List.of(
        row(), row("a", "1"), row("a", "5", "b", "7"), row("a", "x", "b", "2"), row("a", "true", "b", "false"),
        row("a", "1.5", "b", "-3"), row("a", "3000000000", "b", "TRUE", "c", "it's"),
        row("TAGS", "TagA", "KEYS", "k1", "a", "abcabc", "c", "abc"),
        row("a", " 2 ", "b", "+2", "c", "2d"), row("a", "NaN", "b", "-0.0", "c", "0.0"),
        row("a", "Infinity", "b", "1e400", "c", "1e2"), row("a", "-9223372036854775808", "b", "99999999999999999999"),
        row("a", "größe", "b", "日本", "$x", "1", "_y", "2"), row("A", "1", "a", "2"), row("a", "null", "b", "'", "c", "--"));

    /** Each is asked of every row. */
    static final String[] EVERY_ROW = {
        "a = 1", "a <> 1", "a > 1", "a >= 1", "a < 5", "a <= 5", "1 < a", "1 = a", "a = 1.5", "a > 1.5", "a = 'x'", "a <> 'x'",
        "a = b", "a <> b", "a > b", "a < b", "a >= b", "b <= c", "a = TRUE", "a = FALSE", "b <> true", "TRUE = a", "a = 3000000000",
        "a > 3000000000", "a BETWEEN 1 AND 5", "a NOT BETWEEN 1 AND 5", "a BETWEEN b AND 9", "a BETWEEN -10 AND -1", "5 BETWEEN a AND b",
        "a IS NULL", "a IS NOT NULL", "a IN ('1', 'x', 'abcabc')", "a NOT IN ('1', 'x')", "a IN ('1','2','3','4','5','6','x')",
        "a CONTAINS 'bc'", "a NOT CONTAINS 'bc'", "a STARTSWITH 'ab'", "a NOT STARTSWITH 'ab'", "a ENDSWITH 'bc'", "a NOT ENDSWITH 'bc'",
        "a = 1 OR b = 7", "b = 7 OR a = 1", "a = 1 AND b = 7", "b = 7 AND a = 1", "NOT a", "NOT (a = 1)", "NOT a = 1", "a", "a AND b", "a OR b = 2",
        "-a > 1", "-a IS NULL", "a = -3", "b = -3", "b > -4", "(a = 1) = (b = 7)", "(a = 1) = b", "b = (a = 1)", "(a = 1) IS NULL",
        "(a > 1) IS NOT NULL", "TAGS = 'TagA'", "TAGS IN ('TagA','TagB') AND a IS NOT NULL", "c = 'it''s'", "$x = 1 AND _y = 2", "A = 1", "a = '日本' OR b = '日本'",
        "a STARTSWITH 'grö'", "a CONTAINS ''", "a NOT CONTAINS ''", "(a > 1 OR b > 1) AND (c IS NULL OR c <> 'x')", "a > 0 AND a < 10 OR b = 'TRUE'",
    };

    /** Asked of two rows: what counts is mostly whether they parse. */
    static final String[] GRAMMAR = {
        "", " ", "*", "a =", "= 1", "a = 1 b = 2", "a = 1)", "(a = 1", "a = 1;", "a = 1 %", "a == 1", "a != 1", "a = 1 && b = 2", "a=1 AND", "a NOT", "a NOT 5",
        "a = 1 NOT b", "a IS", "a IS 1", "a IS NOT", "a IS NOT 1", "a IN", "a IN ()", "a IN (1)", "a IN ('x'", "a IN ('x',)", "a IN 'x'", "5 IN ('5')", "'x' IN ('x')",
        "(a) IN ('1')", "-a IN ('1')", "NOT a IN ('1')", "NOT (a IN ('1'))", "a IN ('x') = TRUE", "a BETWEEN 1", "a BETWEEN 1 AND", "a BETWEEN 5 AND 1", "a BETWEEN 5 AND 5",
        "a BETWEEN 1.5 AND 1", "a BETWEEN 1 AND 1.5", "a BETWEEN -1 AND -5", "a BETWEEN 'a' AND 'b'", "a BETWEEN 1 AND 'b'", "a BETWEEN NULL AND 1", "a BETWEEN TRUE AND FALSE",
        "a BETWEEN b AND 'x'", "a NOT BETWEEN 5 AND 1", "TRUE BETWEEN 1 AND 2", "a > 'x'", "'x' > a", "a > TRUE", "TRUE > a", "a > NULL", "a = NULL", "NULL = a", "a <> NULL",
        "a > (b = 1)", "(a = 1) > 2", "a > 1 > 0", "a = 1 = TRUE", "a = 1 = 1", "a = 1 <> FALSE", "TRUE = 1", "TRUE = 'x'", "1 = TRUE", "'x' = TRUE", "TRUE = TRUE", "TRUE = FALSE",
        "TRUE = -1", "1 = 1", "1 = 2", "1 = 1.0", "1.5 = '1.5'", "'1' = 1", "1 = 'x'", "'a' = 'a'", "'a' = 'b'", "1 < 2", "2147483648 > 1", "1 < 2147483648", "2147483648 = 2147483648.0",
        "TRUE", "FALSE", "NULL", "true", "tRuE", "NOT TRUE", "NOT NULL", "NULL OR TRUE", "TRUE OR NULL", "NULL AND FALSE", "NULL AND TRUE", "NULL IS NULL", "NULL IS NOT NULL", "TRUE IS NULL",
        "5 IS NULL", "'x' IS NOT NULL", "5", "'x'", "5 AND TRUE", "TRUE AND 'x'", "NOT 5", "NOT 'x'", "-5", "-a", "+a", "+a = 1", "a = +1", "a = + + 1", "a = - - 1", "a = --1", "a = --1\n1",
        "a = 1 -- the rest", "a = 1 -- the rest\n", "-- first\na = 1", "a /* in between */ = 1", "a = 1 /* open", "/**/ a = 1", "/*/ a = 1", "/***/ a = 1", "/* * / */ a = 1", "a / 1",
        "a = 007", "a = 0", "a = 0L", "a = 1l", "a = 1L", "a = 1LL", "a = 9223372036854775807", "a = 9223372036854775808", "a = -9223372036854775808", "a = -9223372036854775807",
        "a = 2147483647", "a = -2147483648", "a = 0.0", "a = 0.5", "a = .5", "a = 5.", "a = 5.e0", "a = 5e", "a = 5e0", "a = 5E+0", "a = 50e-1", "a = 00.5e1", "a = 1e400", "a = 1e-400", "a = 1.5f",
        "a = 1.0d", "a = .", "a = 'x", "a = 'x''", "a = ''", "a = ''''", "a = '\n'", "a = \"1\"", "a.b = 1", "a-b = 1", "1a = 1", "ä = 1", "a\t=\f1\r\n", "a contains 5", "a contains b", "5 contains '5'",
        "'abc' contains 'b'", "'abc' not contains 'b'", "TRUE contains 'T'", "NULL contains 'x'", "a startswith", "a endswith ''", "a not endswith ''", "a not startswith ''", "(a > 1) contains 'x'",
        "a contains '1' contains '1'", "a contains '1' = TRUE", "a and", "and a", "between = 1", "is = 1", "((((a = 1))))", "()", "(a", "a)", "(a) = (1)", "a = (1)", "(1) = a", "-(a = 1) IS NULL",
        "-'x' IS NULL", "-TRUE > 1", "a > -'x'", "TRUE = -5", "NOT NOT TRUE", "NOT NOT a = 1", "NOT -a", "a = 1 OR", "a = 1 OR OR b = 1", "a = 1 , b = 2", "a = 1 IS NULL", "a IS NULL IS NULL",
        "a IS NULL = FALSE", "a <> 1 = FALSE", "a = 1 AND b = 7 OR c = 1 AND TRUE", "a = 1 'x'", "a = 1 'x", "a @ 1", "a = 1 @", "a = 1 b @", "TRUE FALSE", "a = 'a' 'b'", "a > b > c", "a = b = c",
    };

    static final String[] NAMES = {"a", "b", "c", "TAGS"};
    static final String[] LITERALS = {"1", "2", "-3", "5L", "1.5", "3000000000", "'x'", "'1'", "'abc'", "''", "TRUE", "false", "NULL"};
    static final String[] VALUES = {"1", "2", "-3", "+5", "1.5", "x", "abc", "true", "False", "3000000000", " 1", "TagA", "1e1"};
    static final String[] TOKENS = {"=", "<>", "<", "<=", ">", ">=", "(", ")", ",", "+", "-", "NOT", "AND", "OR", "BETWEEN", "IN", "IS", "NULL", "CONTAINS", "STARTSWITH",
        "ENDSWITH", "a", "b", "1", "0.5", "'x'", "TRUE"};

    public static void main(String[] args) {
        System.out.println("# Answers of RocketMQ's filter: expression, properties, answer. Made by tests/filter_oracle/Oracle.java.");
        for (String expression : EVERY_ROW) {
            ROWS.forEach(row -> ask(expression, row));
        }
        for (String expression : GRAMMAR) {
            ask(expression, row("a", "1", "b", "7"));
            ask(expression, row("b", "x"));
        }
        for (int i = 0; i < 600; i++) {
            ask(condition(3), randomRow());
        }
        for (int i = 0; i < 300; i++) {
            ask(damaged(condition(2)), randomRow());
        }
        for (int i = 0; i < 200; i++) {
            List<String> tokens = new ArrayList<>();
            for (int n = 1 + RANDOM.nextInt(7); n > 0; n--) {
                tokens.add(pick(TOKENS));
            }
            ask(String.join(" ", tokens), randomRow());
        }
    }

    static void ask(String expression, Map<String, String> row) {
        List<String> properties = new ArrayList<>();
        row.forEach((name, value) -> properties.add(name + "=" + value));
        System.out.println(escape(expression) + "\t" + escape(String.join("&", properties)) + "\t" + answer(expression, row));
    }

    static String answer(String expression, Map<String, String> row) {
        Expression compiled;
        try {
            compiled = SelectorParser.parse(expression);
        } catch (MQFilterException e) {
            return "refused";
        }
        try {
            return String.valueOf(compiled.evaluate(new EvaluationContext() {
                public Object get(String name) {
                    return row.get(name);
                }

                public Map<String, Object> keyValues() {
                    return new LinkedHashMap<>(row);
                }
            }));
        } catch (Exception e) {
            return "fails: " + e.getClass().getSimpleName();
        }
    }

    static String condition(int depth) {
        if (depth > 0 && RANDOM.nextInt(3) > 0) {
            return switch (RANDOM.nextInt(6)) {
                case 0, 1 -> condition(depth - 1) + " AND " + condition(depth - 1);
                case 2, 3 -> condition(depth - 1) + " OR " + condition(depth - 1);
                case 4 -> "NOT (" + condition(depth - 1) + ")";
                default -> "(" + condition(depth - 1) + ")";
            };
        }
        String not = RANDOM.nextInt(3) == 0 ? " NOT" : "";
        return switch (RANDOM.nextInt(10)) {
            case 0 -> pick(NAMES) + not + " IN (" + text() + ", " + text() + ")";
            case 1 -> pick(NAMES) + " IS" + not + " NULL";
            case 2 -> pick(NAMES) + not + " BETWEEN " + pick(new String[] {"-3", "0.5", "1"}) + " AND " + pick(new String[] {"1", "2.5", "3000000000"});
            case 3 -> pick(NAMES) + not + pick(new String[] {" CONTAINS ", " STARTSWITH ", " ENDSWITH "}) + text();
            case 4, 5 -> operand() + pick(new String[] {" > ", " < ", " >= ", " <= "}) + operand();
            default -> operand() + pick(new String[] {" = ", " <> "}) + operand();
        };
    }

    static String operand() {
        return RANDOM.nextInt(5) < 3 ? pick(NAMES) : pick(LITERALS);
    }

    static String text() {
        return pick(new String[] {"'x'", "'1'", "'abc'", "'b'", "'TagA'", "'2'"});
    }

    static String damaged(String expression) {
        List<String> words = new ArrayList<>(Arrays.asList(expression.split(" ")));
        int at = RANDOM.nextInt(words.size());
        switch (RANDOM.nextInt(3)) {
            case 0 -> words.remove(at);
            case 1 -> words.add(at, pick(TOKENS));
            default -> words.set(at, pick(TOKENS));
        }
        return String.join(" ", words);
    }

    static Map<String, String> randomRow() {
        Map<String, String> row = new LinkedHashMap<>();
        for (String name : NAMES) {
            if (RANDOM.nextInt(4) > 0) {
                row.put(name, pick(VALUES));
            }
        }
        return row;
    }

    static Map<String, String> row(String... pairs) {
        Map<String, String> row = new LinkedHashMap<>();
        for (int i = 0; i < pairs.length; i += 2) {
            row.put(pairs[i], pairs[i + 1]);
        }
        return row;
    }

    static String pick(String[] from) {
        return from[RANDOM.nextInt(from.length)];
    }

    static String escape(String text) {
        return text.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r").replace("\f", "\\f");
    }
}
