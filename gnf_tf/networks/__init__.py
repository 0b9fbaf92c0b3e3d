"""TEMPORARY stand-in by the lead, to be overwritten by B's version."""
import sonnet as snt
import tensorflow as tf
class MLP(snt.Module):
    def __init__(self, output_sizes, *, activation=tf.nn.relu, zero_init_last=False, name=None):
        super().__init__(name=name)
        self.layers = [snt.Linear(s) if i < len(output_sizes)-1 or not zero_init_last else snt.Linear(s, w_init=snt.initializers.Zeros()) for i, s in enumerate(output_sizes)]
        self.activation = activation
    def __call__(self, graph):
        x = graph.nodes
        for i, l in enumerate(self.layers):
            x = l(x) if i == 0 else l(self.activation(x))
        return graph.replace(nodes=x)
class AttentionBlock(snt.Module):
    def __init__(self, num_heads, key_size, hidden_sizes, output_size, *, activation=tf.nn.relu, zero_init_last=False, fully_connected=False, max_num_nodes=None, name=None):
        super().__init__(name=name)
        self.h, self.k = num_heads, key_size
        self.q, self.kk, self.v = (snt.Linear(num_heads*key_size) for _ in range(3))
        self.mlp = MLP([*hidden_sizes, output_size], activation=activation, zero_init_last=zero_init_last)
    def __call__(self, g):
        n = tf.shape(g.nodes)[0]
        q, k, v = (tf.reshape(l(g.nodes), [-1, self.h, self.k]) for l in (self.q, self.kk, self.v))
        lo = tf.reduce_sum(tf.gather(q, g.receivers) * tf.gather(k, g.senders), -1) / self.k**0.5
        m = tf.math.unsorted_segment_max(lo, g.receivers, n)
        w = tf.exp(lo - tf.gather(tf.stop_gradient(m), g.receivers))
        s = tf.math.unsorted_segment_sum(w, g.receivers, n)
        w = w / tf.gather(s, g.receivers)
        o = tf.math.unsorted_segment_sum(w[..., None] * tf.gather(v, g.senders), g.receivers, n)
        o = tf.reshape(o, [n, self.h * self.k])
        from gnf_tf import graphs
        gl = tf.gather(g.globals, graphs.node_graph_ids(g))
        return self.mlp(g.replace(nodes=tf.concat([g.nodes, o, gl], -1)))
class AdditiveAttention(AttentionBlock):
    def __init__(self, num_heads, value_size):
        super().__init__(1, 2, (3,), num_heads * value_size)
class MessagePassing(snt.Module):
    def __init__(self, message_sizes, output_size, *, name=None):
        super().__init__(name=name)
        self.s, self.r, self.e = (snt.Linear(message_sizes[0]) for _ in range(3))
        self.l = snt.Linear(message_sizes[1]); self.out = snt.Linear(output_size)
        self.u = snt.Linear(message_sizes[1])
    def __call__(self, g):
        n = tf.shape(g.nodes)[0]
        x = tf.gather(self.s(g.nodes), g.senders) + tf.gather(self.r(g.nodes), g.receivers)
        if g.edges is not None and g.edges.shape[-1]: x += self.e(g.edges)
        m = self.l(tf.nn.relu(x))
        m = tf.math.unsorted_segment_sum(tf.nn.relu(m), g.receivers, n)
        return g.replace(nodes=self.out(tf.tanh(self.u(g.nodes) + m)))
