package interop;

import java.io.ByteArrayOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.nio.charset.StandardCharsets;

/** A bare connection that speaks frames, for what no well-behaved client sends. */
public final class Wire implements AutoCloseable {
    private final Socket socket = new Socket();

    public Wire(String address) throws IOException {
        String[] parts = address.split(":");
        socket.connect(new InetSocketAddress(parts[0], Integer.parseInt(parts[1])), 3000);
        socket.setSoTimeout(10_000);
    }

    public void frame(int length, int serializeTypeAndHeaderLength, byte[] rest) throws IOException {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        DataOutputStream out = new DataOutputStream(bytes);
        out.writeInt(length);
        out.writeInt(serializeTypeAndHeaderLength);
        out.write(rest);
        // In one write: a server may close as soon as it has seen a wrong length.
        socket.getOutputStream().write(bytes.toByteArray());
    }

    public void json(String header) throws IOException {
        byte[] bytes = header.getBytes(StandardCharsets.UTF_8);
        frame(4 + bytes.length, bytes.length, bytes);
    }

    /** The header of the next frame, as text. */
    public String header() throws IOException {
        DataInputStream in = new DataInputStream(socket.getInputStream());
        byte[] frame = new byte[in.readInt()];
        in.readFully(frame);
        int headerLength = (frame[1] & 0xff) << 16 | (frame[2] & 0xff) << 8 | frame[3] & 0xff;
        return new String(frame, 4, headerLength, StandardCharsets.UTF_8);
    }

    /** Whether the server ends this connection without a word. */
    public boolean closedByServer() throws IOException {
        try {
            return socket.getInputStream().read() < 0;
        } catch (java.net.SocketTimeoutException e) {
            return false;
        } catch (java.net.SocketException reset) {
            return true;
        }
    }

    @Override
    public void close() throws IOException {
        socket.close();
    }
}
