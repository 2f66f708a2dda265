{{- /* The pod of a service. Takes (dict "root" $ "part" "api" "values" .Values.api "port" 8480 "keys" (list …)). */ -}}
{{- define "batuta.server" -}}
{{- $root := .root -}}
{{- $tls := $root.Values.tls -}}
{{- $var := printf "BATUTA_%s" (upper .part) -}}
metadata:
  labels: {{- include "batuta.labels" . | nindent 4 }}
  {{- with .values.podAnnotations }}
  annotations: {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  automountServiceAccountToken: false
  enableServiceLinks: false
  terminationGracePeriodSeconds: 30
  securityContext: {{- include "batuta.podSecurity" 10001 | nindent 4 }}
  {{- with $root.Values.imagePullSecrets }}
  imagePullSecrets: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .values.nodeSelector }}
  nodeSelector: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .values.tolerations }}
  tolerations: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .values.affinity }}
  affinity: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- if gt (int (default 1 .values.replicas)) 1 }}
  topologySpreadConstraints:
    - maxSkew: 1
      topologyKey: kubernetes.io/hostname
      whenUnsatisfiable: ScheduleAnyway
      labelSelector:
        matchLabels: {{- include "batuta.selector" . | nindent 10 }}
  {{- end }}
  containers:
    - name: {{ .part }}
      image: {{ include "batuta.image" $root | quote }}
      imagePullPolicy: {{ $root.Values.image.pullPolicy }}
      command: [{{ printf "batuta-%s" .part | quote }}]
      securityContext: {{- include "batuta.containerSecurity" . | nindent 8 }}
      env:
        - {name: {{ $var }}_PORT, value: {{ .port | quote }}}
        # A folder in the volume: the volume's own belongs to root, and a service wants its folder for itself.
        - {name: {{ $var }}_DATA_DIR, value: /var/lib/batuta/data/{{ .part }}}
        - {name: {{ $var }}_KEYS_DIR, value: /var/lib/batuta/keys}
        {{- if $tls.existingSecret }}
        - {name: {{ $var }}_TLS_CERT, value: /etc/batuta/tls/tls.crt}
        - {name: {{ $var }}_TLS_KEY, value: /etc/batuta/tls/tls.key}
        {{- with $tls.caKey }}
        - {name: GRPC_DEFAULT_SSL_ROOTS_FILE_PATH, value: {{ printf "/etc/batuta/tls/%s" . | quote }}}
        {{- end }}
        {{- else }}
        - {name: {{ $var }}_ALLOW_PLAINTEXT, value: "1"}
        {{- end }}
        {{- with $root.Values.database }}
        {{- if .existingSecret }}
        - name: {{ $var }}_DATABASE_URL
          valueFrom: {secretKeyRef: {name: {{ .existingSecret | quote }}, key: {{ .key | quote }}}}
        {{- end }}
        {{- end }}
        {{- with $root.Values.redis }}
        {{- if .existingSecret }}
        - name: {{ $var }}_REDIS_URL
          valueFrom: {secretKeyRef: {name: {{ .existingSecret | quote }}, key: {{ .key | quote }}}}
        {{- end }}
        {{- end }}
        {{- range $name, $value := .env }}
        - {name: {{ $name }}, value: {{ $value | quote }}}
        {{- end }}
        {{- range $name, $value := .values.env }}
        - {name: {{ $name }}, value: {{ $value | quote }}}
        {{- end }}
      ports:
        - {name: grpc, containerPort: {{ .port }}, protocol: TCP}
      # Slow starts (a migration of the database) have five minutes; then a server that answers nobody is started again.
      startupProbe: {{- include "batuta.probe" . | nindent 8 }}
        periodSeconds: 5
        failureThreshold: 60
      livenessProbe: {{- include "batuta.probe" . | nindent 8 }}
        periodSeconds: 20
        failureThreshold: 6
      readinessProbe: {{- include "batuta.probe" . | nindent 8 }}
        periodSeconds: 5
        failureThreshold: 2
      resources: {{- toYaml .values.resources | nindent 8 }}
      volumeMounts:
        - {name: data, mountPath: /var/lib/batuta/data}
        - {name: keys, mountPath: /var/lib/batuta/keys, readOnly: true}
        - {name: tmp, mountPath: /tmp}
        {{- if $tls.existingSecret }}
        - {name: tls, mountPath: /etc/batuta/tls, readOnly: true}
        {{- end }}
  volumes:
    - name: keys
      secret:
        secretName: {{ $root.Values.keys.existingSecret | quote }}
        defaultMode: 0440
        # A service gets its own private key, and the public ones.
        items:
          {{- range .keys }}
          - {key: {{ . }}, path: {{ . }}}
          {{- end }}
    - name: tmp
      emptyDir: {}
    {{- if $tls.existingSecret }}
    - name: tls
      secret: {secretName: {{ $tls.existingSecret | quote }}, defaultMode: 0440}
    {{- end }}
    {{- if not .values.persistence }}
    - name: data
      emptyDir: {}
    {{- end }}
{{- end -}}

{{- /* The kubelet's own question knows no TLS. */ -}}
{{- define "batuta.probe" -}}
{{- if .root.Values.tls.existingSecret -}}
exec:
  command: [batuta, admin, health, {{ printf "https://127.0.0.1:%v" .port | quote }}, --certificate-name, {{ .root.Values.tls.name | quote }}]
timeoutSeconds: 10
{{- else -}}
grpc: {port: {{ .port }}}
timeoutSeconds: 5
{{- end -}}
{{- end -}}

{{- define "batuta.claim" -}}
metadata:
  name: data
spec:
  accessModes: [ReadWriteOnce]
  {{- with .storageClass }}
  storageClassName: {{ . | quote }}
  {{- end }}
  resources: {requests: {storage: {{ .size }}}}
{{- end -}}
